import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import type { ObservedProcess, ProcessExit, ProcessIo, RuntimeCommand } from "../driver.ts";

/** What the supervisor keeps of a process on disk, so that its successor, or the next daemon, finds it again. */
export interface ProcessRecord {
	readonly processId: string;
	readonly containerId: string;
	readonly pid: number;
	/** Clock ticks since boot: with the pid it names the process for good. */
	readonly startTime: string;
	readonly startedAt: string;
	readonly io: ProcessIo;
	/** Of a container's first process; an exec has none of its own. */
	readonly cgroupsPath?: string;
	/** Likewise: what runs the container. */
	readonly runtime?: RuntimeCommand;
	/** Ancestors of that cgroup that came to be with it or a neighbour, deepest first: the last one of them takes them away. */
	readonly madeCgroups?: readonly string[];
	readonly exit?: ProcessExit;
	/** The daemon's, for its successor. */
	readonly note?: object;
}

/** What the daemon is told of it. */
export function observed({ processId, containerId, pid, startedAt, exit, note }: ProcessRecord): ObservedProcess {
	return { processId, containerId, pid, startedAt, exit, note };
}

/** What a start will make, written before it: should this be all there is of a process, it must be undone. */
export type StartRecord = Pick<ProcessRecord, "processId" | "containerId" | "cgroupsPath" | "runtime">;

/** One directory per process below `root`: its record, its FIFOs, what the OCI runtime writes. */
export class ProcessRecords {
	constructor(private readonly root: string) {
		mkdirSync(root, { recursive: true, mode: 0o700 });
	}

	/** Someone has removed the root: writes them anew. */
	restore(records: readonly ProcessRecord[]): void {
		for (const record of records) {
			mkdirSync(this.directory(record.processId), { recursive: true, mode: 0o700 });
			this.save(record);
		}
	}

	directory(processId: string): string {
		return `${this.root}/${processId}`;
	}

	/** A new directory for the process, with what its start will make. */
	create({ processId, containerId, cgroupsPath, runtime }: StartRecord): string {
		const directory = this.directory(processId);
		try {
			mkdirSync(directory, { mode: 0o700 });
		} catch {
			this.remove(processId);
			mkdirSync(directory, { mode: 0o700 });
		}
		// Whole or not there, as the record.
		writeFileSync(`${directory}/start.json.new`, JSON.stringify({ processId, containerId, cgroupsPath, runtime }));
		renameSync(`${directory}/start.json.new`, `${directory}/start.json`);
		return directory;
	}

	save(record: ProcessRecord): void {
		const file = `${this.directory(record.processId)}/record.json`;
		writeFileSync(`${file}.new`, JSON.stringify(record));
		renameSync(`${file}.new`, file);
	}

	remove(processId: string): void {
		rmSync(this.directory(processId), { recursive: true, force: true });
	}

	/**
	 * All whole records, and the starts that did not finish. A directory with neither is the trace of one that had not begun (or of a removal):
	 * it is dropped.
	 */
	load(): { records: ProcessRecord[]; unfinished: StartRecord[] } {
		const records: ProcessRecord[] = [];
		const unfinished: StartRecord[] = [];
		for (const processId of readdirSync(this.root)) {
			const record = read<ProcessRecord>(`${this.directory(processId)}/record.json`);
			const start = read<StartRecord>(`${this.directory(processId)}/start.json`);
			if (record) records.push(record);
			else if (start) unfinished.push(start);
			else this.remove(processId);
		}
		return { records, unfinished };
	}
}

function read<Stored>(file: string): Stored | undefined {
	try {
		return JSON.parse(readFileSync(file, "utf8")) as Stored;
	} catch {
		return undefined;
	}
}
