import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import type { ExecConfig } from "./contract.ts";

export interface ExecNote {
	readonly id: string;
	readonly containerId: string;
	readonly config: ExecConfig;
}

/** Execs that a client was told of and nobody has started yet: they outlive the daemon, not a restart of the machine. */
export interface ExecNotes {
	put(note: ExecNote): void;
	drop(id: string): void;
	/** Those of an earlier daemon; files that cannot be read are taken away. */
	list(): ExecNote[];
}

/** @param directory below the run root; made when it is needed */
export function createExecNotes(directory: string): ExecNotes {
	const pathOf = (id: string) => `${directory}/${id}.json`;
	const drop = (id: string) => rmSync(pathOf(id), { force: true });
	const read = (id: string): ExecNote[] => {
		try {
			const { containerId, config } = JSON.parse(readFileSync(pathOf(id), "utf8")) as ExecNote;
			return [{ id, containerId, config }];
		} catch {
			// Written halfway: its client was not answered.
			drop(id);
			return [];
		}
	};
	return {
		put: ({ id, containerId, config }) => {
			const text = JSON.stringify({ containerId, config });
			try {
				writeFileSync(pathOf(id), text, { mode: 0o600 });
			} catch {
				mkdirSync(directory, { recursive: true, mode: 0o700 });
				writeFileSync(pathOf(id), text, { mode: 0o600 });
			}
		},
		drop,
		list: () => names(directory).flatMap((name) => (name.endsWith(".json") ? read(name.slice(0, -5)) : [])),
	};
}

function names(directory: string): string[] {
	try {
		return readdirSync(directory);
	} catch {
		return [];
	}
}
