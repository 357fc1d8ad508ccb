import { ptr } from "bun:ffi";
import { closeSync, constants, openSync, rmSync } from "node:fs";
import { basename, dirname } from "node:path";
import { check, errno, libc } from "./libc.ts";

const AF_UNIX = 1;
const SOCK_STREAM = 1;
const SOCK_NONBLOCK = 0o4000;
const SOCK_CLOEXEC = 0o2000000;
const MSG_CMSG_CLOEXEC = 0x40000000;
const TIOCSWINSZ = 0x5414n;
const EAGAIN = 11;
const F_SETFL = 4;
const O_RDWR_NONBLOCK = 0o4002n;
const O_PATH_DIRECTORY = 0o10000000 | constants.O_DIRECTORY | 0o2000000;

/** A listening socket to which an OCI runtime sends the master of the terminal it made (`--console-socket`). */
export interface ConsoleSocket {
	/** What the runtime is given: short, whatever the length of the socket's own path; good until `close`. */
	readonly path: string;
	/** The pty master, non-blocking and closed on exec. Call it when the runtime has ended. Throws SyscallError when it sent none. */
	receive(): number;
	/** Closes and deletes the socket. */
	close(): void;
}

/**
 * Listens on `path`, through an open fd of its directory: the kernel takes no socket path above 107 bytes, and below a long state directory with a
 * container's 64 digits they are longer. Throws SyscallError.
 */
export function listenConsole(path: string): ConsoleSocket {
	const directory = openSync(dirname(path), O_PATH_DIRECTORY);
	try {
		const short = `/proc/${process.pid}/fd/${directory}/${basename(path)}`;
		rmSync(path, { force: true });
		const fd = listenUnix(short);
		return {
			path: short,
			receive: () => receiveFd(fd),
			close() {
				libc.close(fd);
				closeSync(directory);
				rmSync(path, { force: true });
			},
		};
	} catch (error) {
		closeSync(directory);
		throw error;
	}
}

function listenUnix(path: string): number {
	const fd = check(libc.socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), "socket AF_UNIX");
	const address = Buffer.alloc(110);
	address.writeUInt16LE(AF_UNIX, 0);
	address.write(path, 2);
	try {
		check(libc.bind(fd, ptr(address), address.length), `bind ${path}`);
		check(libc.listen(fd, 1), `listen ${path}`);
	} catch (error) {
		libc.close(fd);
		throw error;
	}
	return fd;
}

function receiveFd(listener: number): number {
	const peer = check(libc.accept4(listener, null, null, SOCK_CLOEXEC | SOCK_NONBLOCK), "accept console");
	try {
		const data = Buffer.alloc(4096);
		const control = Buffer.alloc(24); // cmsghdr (16) and one fd (4), padded
		const iov = new BigUint64Array([BigInt(ptr(data)), BigInt(data.length)]);
		// struct msghdr: name, namelen, iov, iovlen, control, controllen, flags
		const message = new BigUint64Array([0n, 0n, BigInt(ptr(iov)), 1n, BigInt(ptr(control)), 24n, 0n]);
		check(libc.recvmsg(peer, ptr(message), MSG_CMSG_CLOEXEC), "recvmsg console");
		if (message[5] === 0n) throw new Error("the runtime sent no terminal");
		const master = control.readInt32LE(16);
		check(libc.fcntl(master, F_SETFL, O_RDWR_NONBLOCK), "fcntl O_NONBLOCK");
		return master;
	} finally {
		libc.close(peer);
	}
}

/** Sets a terminal's size, which signals SIGWINCH to its foreground process. */
export function setTerminalSize(master: number, rows: number, columns: number): void {
	const size = new Uint16Array([rows, columns, 0, 0]);
	// stty rows R columns C
	check(libc.ioctl(master, TIOCSWINSZ, ptr(size)), "ioctl TIOCSWINSZ");
}

/** Writes to a non-blocking master what its terminal takes; how many bytes that is, 0 while it is full. Throws SyscallError. */
export function writeTerminal(master: number, data: Uint8Array): number {
	const written = libc.write(master, ptr(data), data.length);
	return Number(written) < 0 && errno() === EAGAIN ? 0 : check(written, "write to a terminal");
}
