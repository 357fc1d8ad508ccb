import { ptr } from "bun:ffi";
import { check, libc } from "./libc.ts";

const AF_NETLINK = 16;
const SOCK_DGRAM = 2;
const SOCK_NONBLOCK = 0o4000;
const SOCK_CLOEXEC = 0o2000000;
const NETLINK_CONNECTOR = 11;
const SOL_SOCKET = 1;
const SO_ATTACH_FILTER = 26;
const NLMSG_DONE = 3;
/** CN_IDX_PROC and CN_VAL_PROC: also the number of the multicast group. */
const PROC = 1;
const PROC_CN_MCAST_LISTEN = 1;
const PROC_EVENT_EXIT = 0x8000_0000;

/** A message: nlmsghdr (16 bytes), cn_msg (20), then proc_event. Of that, what is used here. */
const AT = { what: 36, tgid: 56, status: 60 } as const;
const MESSAGE_BYTES = 80;

/** One filter has no more instructions than 4096; each process takes two. */
const MOST_PROCESSES = 2000;

/**
 * Exit codes of processes that are not our children, from the kernel's process events (CONFIG_PROC_EVENTS): for kernels whose pidfds do not tell them. A
 * filter lets through only the exits of the processes that were asked for, so nothing wakes us and nothing fills the socket. They are told in
 * the machine's first network and pid namespace alone.
 */
export class ExitEvents implements Disposable {
	private fd = -1;
	private readonly watched = new Set<number>();
	private readonly codes = new Map<number, number>();

	/** From now on its exit is kept. Throws SyscallError where the kernel tells none. */
	watch(pid: number): void {
		if (this.fd < 0) this.fd = listen();
		this.watched.add(pid);
		attachFilter(this.fd, [...this.watched].slice(-MOST_PROCESSES));
	}

	/** Of a process that has ended; undefined when it was not told. It is watched no more. */
	take(pid: number): number | undefined {
		this.receive();
		const code = this.codes.get(pid);
		this.codes.delete(pid);
		this.watched.delete(pid);
		if (this.watched.size === 0) this[Symbol.dispose]();
		return code;
	}

	[Symbol.dispose](): void {
		if (this.fd >= 0) libc.close(this.fd);
		this.fd = -1;
	}

	/** Each thread tells its own; the last is the process's. */
	private receive(): void {
		const message = Buffer.alloc(MESSAGE_BYTES);
		while (this.fd >= 0 && Number(libc.recv(this.fd, ptr(message), message.length, 0)) >= AT.status + 4) {
			this.codes.set(message.readInt32LE(AT.tgid), exitCodeOf(message.readInt32LE(AT.status)));
		}
	}
}

/** @param status as wait(2) gives it; 128 + n for signal n */
export function exitCodeOf(status: number): number {
	const signal = status & 0x7f;
	return signal === 0 ? (status >> 8) & 0xff : 128 + signal;
}

function listen(): number {
	const fd = check(
		libc.socket(AF_NETLINK, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, NETLINK_CONNECTOR),
		"socket NETLINK_CONNECTOR",
	);
	try {
		// First, so that nothing comes before a process is named.
		attachFilter(fd, []);
		const name = new Uint32Array([AF_NETLINK, 0, 1 << (PROC - 1)]);
		check(libc.bind(fd, ptr(name), 12), "bind CN_IDX_PROC");
		const request = Buffer.alloc(40);
		request.writeUInt32LE(request.length, 0);
		request.writeUInt16LE(NLMSG_DONE, 4);
		request.writeUInt32LE(PROC, 16);
		request.writeUInt32LE(PROC, 20);
		request.writeUInt16LE(4, 32);
		request.writeUInt32LE(PROC_CN_MCAST_LISTEN, 36);
		check(libc.sendto(fd, ptr(request), request.length, 0, null, 0), "send PROC_CN_MCAST_LISTEN");
		return fd;
	} catch (error) {
		libc.close(fd);
		throw error;
	}
}

function attachFilter(fd: number, pids: readonly number[]): void {
	const program = exitFilter(pids);
	// struct sock_fprog: length, pointer
	const options = new BigUint64Array([BigInt(program.length / 8), BigInt(ptr(program))]);
	check(
		libc.setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, ptr(options), 16),
		`attach a filter of ${program.length} bytes`,
	);
}

/** Classic BPF: accept an exit of one of `pids`, nothing else. Loads are in network order, the messages in the machine's (little endian). */
function exitFilter(pids: readonly number[]): Buffer {
	const LOAD = 0x20;
	const JUMP_EQUAL = 0x15;
	const RETURN = 0x06;
	const swapped = (value: number) => Buffer.from(new Uint32Array([value]).buffer).readUInt32BE(0);
	const instructions: [code: number, yes: number, no: number, value: number][] = [
		[LOAD, 0, 0, AT.what],
		[JUMP_EQUAL, 1, 0, swapped(PROC_EVENT_EXIT)],
		[RETURN, 0, 0, 0],
		[LOAD, 0, 0, AT.tgid],
		// Jumps are short: each has its own way out behind it.
		...pids.flatMap((pid): [number, number, number, number][] => [
			[JUMP_EQUAL, 0, 1, swapped(pid)],
			[RETURN, 0, 0, 0xffff_ffff],
		]),
		[RETURN, 0, 0, 0],
	];
	const program = Buffer.alloc(instructions.length * 8);
	instructions.forEach(([code, yes, no, value], index) => {
		program.writeUInt16LE(code, index * 8);
		program.writeUInt8(yes, index * 8 + 2);
		program.writeUInt8(no, index * 8 + 3);
		program.writeUInt32LE(value, index * 8 + 4);
	});
	return program;
}
