import { readFileSync, readlinkSync } from "node:fs";
import { messageOf } from "../../shared/errors.ts";
import type { Logger } from "../../shared/log.ts";
import { check, libc } from "./libc.ts";

const MADV_DONTNEED = 4;
const TRIM_MS = 1_000;
/** Less processor time than this in an interval is quiet; a container's start costs more. */
const QUIET_CPU_MICROS = 5_000;

export interface AddressRange {
	readonly start: bigint;
	readonly length: bigint;
}

/**
 * The mappings of `file` that hold nothing but what is in it: read-only or code, not one page of their own.
 * @param smaps text of /proc/PID/smaps
 */
export function cleanMappings(smaps: string, file: string): AddressRange[] {
	return smaps.split(/^(?=[0-9a-f]+-[0-9a-f]+ )/m).flatMap((mapping) => {
		const [, from, to, path] = /^([0-9a-f]+)-([0-9a-f]+) r-[-x]p \S+ \S+ \S+ +(.*)$/m.exec(mapping) ?? [];
		if (from === undefined || to === undefined || path !== file) return [];
		if (!/^Anonymous: +0 kB$/m.test(mapping)) return [];
		const start = BigInt(`0x${from}`);
		return [{ start, length: BigInt(`0x${to}`) - start }];
	});
}

/**
 * Unmaps the pages of this process's own executable; each that is used again comes back from the page cache without a disk. What the start
 * touched, tens of megabytes, no longer counts for a process that then waits. Throws SyscallError.
 */
export function dropExecutablePages(): void {
	const file = readlinkSync("/proc/self/exe");
	for (const { start, length } of cleanMappings(readFileSync("/proc/self/smaps", "utf8"), file)) {
		check(libc.madvise(start, length, MADV_DONTNEED), `madvise MADV_DONTNEED ${file}`);
	}
}

/** After a busy time, the memory that it took is given back in the first quiet second, until disposed of. */
export function trimWhenQuiet(log: Pick<Logger, "warn">): Disposable {
	let busy = true;
	let spent = cpuMicros();
	const timer = setInterval(() => {
		const now = cpuMicros();
		const quiet = now - spent < QUIET_CPU_MICROS;
		spent = now;
		if (busy && quiet) trim(log);
		busy = !quiet;
	}, TRIM_MS);
	timer.unref();
	return { [Symbol.dispose]: () => clearInterval(timer) };
}

function trim(log: Pick<Logger, "warn">): void {
	try {
		Bun.gc(true);
		dropExecutablePages();
	} catch (error) {
		log.warn("cannot give memory back", { error: messageOf(error) });
	}
}

function cpuMicros(): number {
	const { user, system } = process.cpuUsage();
	return user + system;
}
