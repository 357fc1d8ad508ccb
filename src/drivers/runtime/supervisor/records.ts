import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import type { ProcessExit, ProcessIo } from "../driver.ts";

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
	readonly exit?: ProcessExit;
}

/** One directory per process below `root`: its record, its FIFOs, what the OCI runtime writes. */
export class ProcessRecords {
	constructor(private readonly root: string) {
		mkdirSync(root, { recursive: true, mode: 0o700 });
	}

	directory(processId: string): string {
		return `${this.root}/${processId}`;
	}

	/** A new, empty directory for the process. */
	create(processId: string): string {
		const directory = this.directory(processId);
		try {
			mkdirSync(directory, { mode: 0o700 });
		} catch {
			this.remove(processId);
			mkdirSync(directory, { mode: 0o700 });
		}
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

	/** All whole records; a directory without one is the trace of a start that did not finish, and is named in `broken`. */
	load(): { records: ProcessRecord[]; broken: string[] } {
		const records: ProcessRecord[] = [];
		const broken: string[] = [];
		for (const processId of readdirSync(this.root)) {
			try {
				records.push(JSON.parse(readFileSync(`${this.directory(processId)}/record.json`, "utf8")) as ProcessRecord);
			} catch {
				broken.push(processId);
			}
		}
		return { records, broken };
	}
}
