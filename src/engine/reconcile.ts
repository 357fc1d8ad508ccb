import { type ObservedProcess, UNKNOWN_EXIT } from "../drivers/runtime/driver.ts";
import type { ContainerRecord, Ended } from "./containers/record.ts";
import { shouldRestart } from "./containers/restart.ts";

/** What is there when a daemon starts. */
export interface Observed {
	readonly processes: readonly ObservedProcess[];
	/** Ids of active snapshots. */
	readonly snapshots: readonly string[];
}

export type Action =
	/** It runs: the record learns its pid. */
	| { readonly do: "adopt"; readonly id: string; readonly pid: number; readonly startedAt: string }
	/** It ended while no daemon ran; restart, removal or nothing follows by policy. */
	| { readonly do: "settle"; readonly id: string; readonly ended: Ended }
	| { readonly do: "start"; readonly id: string }
	| { readonly do: "remove"; readonly id: string }
	| { readonly do: "prepare-snapshot"; readonly id: string }
	| { readonly do: "release-process"; readonly id: string }
	| { readonly do: "remove-snapshot"; readonly id: string };

/** What to do so that records and the machine agree. Pure; `now` is RFC 3339, for ends whose time nobody knows. */
export function plan(records: readonly ContainerRecord[], observed: Observed, now: string): Action[] {
	const byId = new Map(observed.processes.map((process) => [process.processId, process]));
	const known = new Set(records.map(({ id }) => id));
	const snapshots = new Set(observed.snapshots);
	const actions = records.flatMap((record) => forRecord(record, byId.get(record.id), snapshots, now));
	const leftovers = observed.processes.filter(({ processId, containerId, exit }) =>
		processId === containerId ? !known.has(containerId) : exit !== undefined || !known.has(containerId),
	);
	return [
		...actions,
		...leftovers.map(({ processId }): Action => ({ do: "release-process", id: processId })),
		...observed.snapshots.filter((id) => !known.has(id)).map((id): Action => ({ do: "remove-snapshot", id })),
	];
}

function forRecord(
	record: ContainerRecord,
	process: ObservedProcess | undefined,
	snapshots: ReadonlySet<string>,
	now: string,
): Action[] {
	const { id, state } = record;
	if (state.status === "removing") return [{ do: "remove", id }];
	const wasRunning = state.status === "running" || state.status === "paused";
	if (process && !process.exit) return [{ do: "adopt", id, pid: process.pid, startedAt: process.startedAt }];
	if (process?.exit) {
		const { exitCode, oomKilled, exitedAt } = process.exit;
		const { startedAt } = process;
		// A start that the record never learnt of counts as one; an end it knows already is only to be released.
		const unknown = wasRunning || !("startedAt" in state) || state.startedAt !== startedAt;
		if (unknown) return [{ do: "settle", id, ended: { exitCode, oomKilled, startedAt, finishedAt: exitedAt } }];
		return [{ do: "release-process", id }, ...afterEnd(record, snapshots)];
	}
	if (wasRunning) {
		const { startedAt } = state;
		return [{ do: "settle", id, ended: { exitCode: UNKNOWN_EXIT, oomKilled: false, startedAt, finishedAt: now } }];
	}
	return afterEnd(record, snapshots);
}

/** A container that does not run: by its policy. "always" comes back even after a stop, "unless-stopped" does not. */
function afterEnd(record: ContainerRecord, snapshots: ReadonlySet<string>): Action[] {
	const { id, state, hostConfig, restartCount, stoppedByUser } = record;
	if (state.status === "created") return snapshots.has(id) ? [] : [{ do: "prepare-snapshot", id }];
	if (state.status !== "exited" && state.status !== "restarting") return [];
	if (hostConfig.AutoRemove) return [{ do: "remove", id }];
	const policy = hostConfig.RestartPolicy;
	const attempts = restartCount;
	const byPolicy =
		policy.Name === "on-failure"
			? state.status === "restarting" && shouldRestart(policy, { exitCode: state.exitCode, stoppedByUser, attempts })
			: shouldRestart(policy, {
					exitCode: state.exitCode,
					stoppedByUser: stoppedByUser && policy.Name !== "always",
					attempts,
				});
	return byPolicy ? [{ do: "start", id }] : [];
}
