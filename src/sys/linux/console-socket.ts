import { ptr } from "bun:ffi";
import { rmSync } from "node:fs";
import { check, libc } from "./libc.ts";

const AF_UNIX = 1;
const SOCK_STREAM = 1;
const SOCK_NONBLOCK = 0o4000;
const SOCK_CLOEXEC = 0o2000000;
const MSG_CMSG_CLOEXEC = 0x40000000;
const TIOCSWINSZ = 0x5414n;
const F_SETFL = 4;
const O_RDWR_NONBLOCK = 0o4002n;
/** sun_path is 108 bytes with its NUL. */
const MAX_PATH = 107;

/** A listening socket to which an OCI runtime sends the master of the terminal it made (`--console-socket`). */
export interface ConsoleSocket {
	/** The pty master, non-blocking and closed on exec. Call it when the runtime has ended. Throws SyscallError when it sent none. */
	receive(): number;
	/** Closes and deletes the socket. */
	close(): void;
}

export function listenConsole(path: string): ConsoleSocket {
	if (Buffer.byteLength(path) > MAX_PATH) throw new Error(`cannot listen on ${path}: longer than ${MAX_PATH} bytes`);
	const fd = check(libc.socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), "socket AF_UNIX");
	const address = Buffer.alloc(110);
	address.writeUInt16LE(AF_UNIX, 0);
	address.write(path, 2);
	rmSync(path, { force: true });
	try {
		check(libc.bind(fd, ptr(address), address.length), `bind ${path}`);
		check(libc.listen(fd, 1), `listen ${path}`);
	} catch (error) {
		libc.close(fd);
		throw error;
	}
	return {
		receive: () => receiveFd(fd),
		close() {
			libc.close(fd);
			rmSync(path, { force: true });
		},
	};
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
