import { ptr } from "bun:ffi";
import { closeSync, constants, openSync } from "node:fs";
import { check, cstring, libc } from "./libc.ts";

const F_SETPIPE_SZ = 1031;
/** Four times the default: fewer wake-ups for a flood. Pages are only allocated as they fill. */
const PIPE_BYTES = 256n * 1024n;
const { O_RDONLY, O_WRONLY, O_RDWR, O_NONBLOCK } = constants;
const O_CLOEXEC = 0o2000000;

/** Makes a FIFO, mode 0600. Throws SyscallError. */
export function makeFifo(path: string): void {
	// mkfifo -m 600 PATH
	check(libc.mkfifo(ptr(cstring(path)), 0o600), `mkfifo ${path}`);
}

/** The two ends of a FIFO; the caller closes both. `theirs` blocks, `ours` does not. */
export interface FifoEnds {
	readonly ours: number;
	readonly theirs: number;
}

/** For a program's output: its end is open read-write, so that it never gets SIGPIPE, whatever becomes of us. */
export function openOutputFifo(path: string): FifoEnds {
	const theirs = openSync(path, O_RDWR | O_CLOEXEC);
	try {
		const ours = reopenOutputFifo(path);
		libc.fcntl(ours, F_SETPIPE_SZ, PIPE_BYTES);
		return { ours, theirs };
	} catch (error) {
		closeSync(theirs);
		throw error;
	}
}

/** Our end alone, for a program that runs already. */
export function reopenOutputFifo(path: string): number {
	return openSync(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
}

/** For a program's stdin: its end is read-only, so that closing ours is its end of file. */
export function openInputFifo(path: string): FifoEnds {
	// A FIFO opens for reading only when a writer is there: this one is, for a moment.
	const both = openSync(path, O_RDWR | O_CLOEXEC);
	try {
		const theirs = openSync(path, O_RDONLY | O_CLOEXEC);
		return { theirs, ours: openSync(path, O_WRONLY | O_NONBLOCK | O_CLOEXEC) };
	} finally {
		closeSync(both);
	}
}
