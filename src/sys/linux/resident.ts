import { readFileSync, readlinkSync } from "node:fs";
import { check, libc } from "./libc.ts";

const MADV_DONTNEED = 4;

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
