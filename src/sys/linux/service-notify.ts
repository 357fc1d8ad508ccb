import { ptr } from "bun:ffi";
import { check, libc } from "./libc.ts";

const AF_UNIX = 1;
const SOCK_DGRAM_CLOEXEC = 2 | 0o2000000;

/**
 * Tells the service manager something (sd_notify(3)): `READY=1`, `STOPPING=1`. `socketPath` is `$NOTIFY_SOCKET`: a path, or `@name` in
 * the abstract namespace. Throws SyscallError.
 */
export function notifyService(socketPath: string, message: string): void {
	const address = Buffer.alloc(2 + Buffer.byteLength(socketPath));
	address.writeUInt16LE(AF_UNIX, 0);
	address.write(socketPath, 2);
	if (socketPath.startsWith("@")) address[2] = 0;
	const payload = Buffer.from(message);
	const fd = check(libc.socket(AF_UNIX, SOCK_DGRAM_CLOEXEC, 0), "socket AF_UNIX");
	try {
		// systemd-notify --ready
		const sent = libc.sendto(fd, ptr(payload), BigInt(payload.length), 0, ptr(address), address.length);
		check(sent, `sendto ${socketPath}`);
	} finally {
		libc.close(fd);
	}
}
