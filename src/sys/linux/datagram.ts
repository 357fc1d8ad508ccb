import { ptr } from "bun:ffi";
import { check, libc, SyscallError } from "./libc.ts";

const AF_UNIX = 1;
/** SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK */
const DATAGRAM = 2 | 0o2000000 | 0o4000;
const MSG_NOSIGNAL = 0x4000;
const [EAGAIN, ECONNREFUSED, ENOTCONN, ENOENT, ENOBUFS] = [11, 111, 107, 2, 105];
/** A receiver that takes nothing for so long has lost the datagram. */
const SEND_TRIES = 200;

/** A connected unix datagram socket; Bun has none. */
export interface DatagramSocket {
	/** Waits while the receiver is behind. One that has gone and come back is found again; without one the datagram is lost. */
	send(data: Uint8Array): Promise<void>;
	close(): void;
}

/** Throws SyscallError when nobody listens at `path`. */
export function openDatagram(path: string): DatagramSocket {
	const address = addressOf(path);
	const fd = check(libc.socket(AF_UNIX, DATAGRAM, 0), "socket AF_UNIX");
	// socat - UNIX-SENDTO:path
	const connect = () => check(libc.connect(fd, ptr(address), address.length), `connect ${path}`);
	try {
		connect();
	} catch (error) {
		libc.close(fd);
		throw error;
	}
	const reconnect = () => {
		try {
			return connect() === 0;
		} catch {
			return false;
		}
	};
	return {
		async send(data) {
			for (let tries = 1; tries <= SEND_TRIES; tries++) {
				try {
					check(libc.sendto(fd, ptr(data), BigInt(data.length), MSG_NOSIGNAL, null, 0), `send ${path}`);
					return;
				} catch (error) {
					const errno = error instanceof SyscallError ? error.errno : 0;
					if ([ECONNREFUSED, ENOTCONN, ENOENT].includes(errno) ? !reconnect() : ![EAGAIN, ENOBUFS].includes(errno))
						return;
				}
				await Bun.sleep(5);
			}
		},
		close: () => void libc.close(fd),
	};
}

/** A socket that datagrams come to; for tests of those that send. Blocks for no one: undefined when nothing has come. */
export function receiveDatagrams(path: string): { next(): Buffer | undefined; close(): void } {
	const address = addressOf(path);
	const fd = check(libc.socket(AF_UNIX, DATAGRAM, 0), "socket AF_UNIX");
	check(libc.bind(fd, ptr(address), address.length), `bind ${path}`);
	const buffer = Buffer.alloc(256 * 1024);
	return {
		next() {
			// socat UNIX-RECV:path -
			const length = Number(libc.recv(fd, ptr(buffer), BigInt(buffer.length), 0));
			return length < 0 ? undefined : Buffer.from(buffer.subarray(0, length));
		},
		close: () => void libc.close(fd),
	};
}

function addressOf(path: string): Buffer {
	const address = Buffer.alloc(3 + Buffer.byteLength(path));
	address.writeUInt16LE(AF_UNIX, 0);
	address.write(path, 2);
	return address;
}
