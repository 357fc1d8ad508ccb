import { check, libc } from "./libc.ts";

const PRIO_PROCESS = 0;
const SCHED_OTHER = 0;
const SCHED_RESET_ON_FORK = 0x40000000;

/**
 * Makes way for others: on a busy machine the calling thread (Linux: not its process) gets the processor after those at the usual priority.
 * @param nice 1 to 19. Throws SyscallError.
 */
export function lowerThreadPriority(nice: number): void {
	// renice -n NICE -p TID
	check(libc.setpriority(PRIO_PROCESS, 0, nice), `setpriority ${nice}`);
}

/**
 * Lets the calling thread go first on a busy machine; threads and processes that it starts have the usual priority.
 * @param nice -20 to -1. False where that is not allowed (no CAP_SYS_NICE): then all stays as it was.
 */
export function raiseThreadPriority(nice: number): boolean {
	// chrt --reset-on-fork --other --pid 0 TID
	const parameter = new Int32Array([0]);
	if (libc.sched_setscheduler(0, SCHED_OTHER | SCHED_RESET_ON_FORK, parameter) < 0) return false;
	// renice -n NICE -p TID
	return libc.setpriority(PRIO_PROCESS, 0, nice) === 0;
}
