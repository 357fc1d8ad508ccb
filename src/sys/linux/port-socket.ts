import { ptr } from "bun:ffi";
import { ipv4Bytes } from "../../shared/ip.ts";
import { check, libc } from "./libc.ts";

const AF_INET = 2;
const SOCK_STREAM = 1;
const SOCK_DGRAM = 2;
const SOCK_CLOEXEC = 0o2000000;

/** Takes a port as a server would, so that no other program can: bind, and listen for TCP. Returns the fd, which the caller closes. Throws SyscallError EADDRINUSE, EADDRNOTAVAIL, EACCES. */
export function bindPort(protocol: "tcp" | "udp", address: number, port: number): number {
	const type = protocol === "tcp" ? SOCK_STREAM : SOCK_DGRAM;
	const fd = check(libc.socket(AF_INET, type | SOCK_CLOEXEC, 0), "socket");
	try {
		// struct sockaddr_in: family in host order, port and address in network order
		const name = new Uint8Array(16);
		name[0] = AF_INET;
		name.set([port >> 8, port & 255, ...ipv4Bytes(address)], 2);
		check(libc.bind(fd, ptr(name), name.length), "bind");
		if (protocol === "tcp") check(libc.listen(fd, 1), "listen");
		return fd;
	} catch (error) {
		libc.close(fd);
		throw error;
	}
}

export function closePort(fd: number): void {
	libc.close(fd);
}
