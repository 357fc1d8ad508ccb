import { ptr } from "bun:ffi";
import { readFileSync } from "node:fs";
import { check, cstring, libc } from "./libc.ts";

const MFD_CLOEXEC = 1;
const MFD_ALLOW_SEALING = 2;
const F_ADD_SEALS = 1033;
/** seal, shrink, grow, write */
const ALL_SEALS = 1n | 2n | 4n | 8n;

/**
 * A sealed copy of an executable in memory, as an fd that no child inherits: run it as `/proc/PID/fd/N`. crun and runc copy themselves so at
 * each start unless they already run from one. Throws SyscallError.
 */
export function sealedCopy(path: string): number {
	const bytes = readFileSync(path);
	const fd = check(libc.memfd_create(ptr(cstring(path)), MFD_CLOEXEC | MFD_ALLOW_SEALING), "memfd_create");
	try {
		for (let done = 0; done < bytes.length; ) {
			const rest = bytes.subarray(done);
			done += check(libc.write(fd, ptr(rest), BigInt(rest.length)), "write memfd");
		}
		check(libc.fcntl(fd, F_ADD_SEALS, ALL_SEALS), "fcntl F_ADD_SEALS");
		return fd;
	} catch (error) {
		libc.close(fd);
		throw error;
	}
}
