import { ptr } from "bun:ffi";
import { type IpAddress, ipBytes } from "../../shared/ip.ts";
import { check, libc } from "./libc.ts";
import { view } from "./netlink.ts";

const AF_INET = 2;
const AF_INET6 = 10;
const SOCK_CLOEXEC = 0o2000000;
const SOL_SOCKET = 1;
const SO_RCVTIMEO = 20;
const SO_SNDTIMEO = 21;

/**
 * A blocking socket of one family whose calls end after `timeoutMs` (EAGAIN; EINPROGRESS of connect). For programs that do nothing else meanwhile: never on the
 * daemon's event loop.
 */
export class ProbeSocket implements Disposable {
	readonly fd: number;

	constructor(kind: { type: number; protocol: number; family?: 4 | 6 }, timeoutMs: number) {
		const family = kind.family === 6 ? AF_INET6 : AF_INET;
		this.fd = check(libc.socket(family, kind.type | SOCK_CLOEXEC, kind.protocol), "socket");
		this.setTimeout(timeoutMs);
	}

	setTimeout(ms: number): void {
		// struct timeval; 0 would be for ever
		const whole = Math.max(1, Math.ceil(ms));
		const time = new BigInt64Array([BigInt(Math.floor(whole / 1000)), BigInt((whole % 1000) * 1000)]);
		for (const option of [SO_RCVTIMEO, SO_SNDTIMEO]) {
			check(libc.setsockopt(this.fd, SOL_SOCKET, option, ptr(time), 16), "setsockopt timeout");
		}
	}

	connect(address: IpAddress, port: number): void {
		const six = typeof address === "bigint";
		// struct sockaddr_in, or sockaddr_in6, whose address stands behind four bytes of flow label
		const name = new Uint8Array(six ? 28 : 16);
		name[0] = six ? AF_INET6 : AF_INET;
		name.set([port >> 8, port & 255], 2);
		name.set(ipBytes(address), six ? 8 : 4);
		check(libc.connect(this.fd, ptr(name), name.length), "connect");
	}

	option(level: number, name: number, value: number): void {
		const number = Int32Array.of(value);
		check(libc.setsockopt(this.fd, level, name, ptr(number), 4), `setsockopt ${name}`);
	}

	readOption(level: number, name: number): number {
		const [number, length] = [new Int32Array(1), Uint32Array.of(4)];
		check(libc.getsockopt(this.fd, level, name, ptr(number), ptr(length)), `getsockopt ${name}`);
		return number[0] ?? 0;
	}

	send(bytes: Uint8Array): void {
		check(libc.sendto(this.fd, ptr(bytes), bytes.length, 0, null, 0), "send");
	}

	/** One datagram. */
	receive(): Uint8Array {
		const buffer = new Uint8Array(1 << 16);
		return buffer.slice(0, check(libc.recv(this.fd, ptr(buffer), buffer.length, 0), "recv"));
	}

	[Symbol.dispose](): void {
		libc.close(this.fd);
	}
}

/** Big-endian. */
export function uint16(bytes: Uint8Array, at: number): number {
	return bytes.length >= at + 2 ? view(bytes).getUint16(at) : -1;
}
