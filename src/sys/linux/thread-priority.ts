import { check, libc } from "./libc.ts";

const PRIO_PROCESS = 0;

/**
 * Makes way for others: on a busy machine the calling thread (Linux: not its process) gets the processor after those at the usual priority.
 * @param nice 1 to 19. Throws SyscallError.
 */
export function lowerThreadPriority(nice: number): void {
	// renice -n NICE -p TID
	check(libc.setpriority(PRIO_PROCESS, 0, nice), `setpriority ${nice}`);
}
