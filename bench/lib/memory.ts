import { readFileSync } from "node:fs";
import { type Engine, readProcesses, supervisorsOf } from "./engine.ts";

/** Pids of the engine: its roots, their descendants, and supervisors. */
export function enginePids(engine: Engine): Set<number> {
	const processes = readProcesses();
	const found = new Set([...engine.pids, ...engine.pids.flatMap(supervisorsOf)]);
	for (let before = -1; before !== found.size; ) {
		before = found.size;
		for (const { pid, parent } of processes) if (found.has(parent)) found.add(pid);
	}
	return found;
}

/** Ancestors of a process below pid 1: shims, monitors. */
export function ancestors(pid: number): number[] {
	const parents = new Map(readProcesses().map((process) => [process.pid, process.parent]));
	const found: number[] = [];
	for (let at = parents.get(pid) ?? 0; at > 1; at = parents.get(at) ?? 0) found.push(at);
	return found;
}

/** Sum of the proportional set sizes, in MB (10^6 bytes). Processes that have ended count 0. */
export function pssOf(pids: Iterable<number>): number {
	let kilobytes = 0;
	for (const pid of pids) {
		try {
			kilobytes += Number(/^Pss:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/smaps_rollup`, "utf8"))?.[1] ?? 0);
		} catch {
			// ended
		}
	}
	return (kilobytes * 1024) / 1e6;
}
