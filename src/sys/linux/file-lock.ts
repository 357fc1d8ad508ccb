import { check, cstring, errno, libc, SyscallError } from "./libc.ts";

const O_RDWR = 0o2;
const O_CREAT = 0o100;
const O_CLOEXEC = 0o2000000;
const LOCK_EX = 2;
const LOCK_NB = 4;
const EAGAIN = 11;

/** A lock on a whole file, held by an fd that no child inherits: the kernel drops it when this process ends, however it ends. */
export interface FileLock {
	/** Gives the lock up. Safe to repeat. */
	release(): void;
}

/**
 * Takes the exclusive lock on `path` (made with mode 0600 when missing), or undefined when another open file holds it.
 * Throws SyscallError when the file cannot be opened.
 */
export function tryLockFile(path: string): FileLock | undefined {
	const name = cstring(path);
	const fd = check(libc.open(name, O_RDWR | O_CREAT | O_CLOEXEC, 0o600), `open ${path}`);
	// flock --nonblock --exclusive PATH
	if (libc.flock(fd, LOCK_EX | LOCK_NB) < 0) {
		const failed = errno();
		libc.close(fd);
		if (failed === EAGAIN) return undefined;
		throw new SyscallError(`flock ${path}`, failed);
	}
	let held = true;
	return {
		release() {
			if (held) libc.close(fd);
			held = false;
		},
	};
}
