import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import type { SpecResources } from "../../../oci/runtime-spec.ts";
import { EngineError, messageOf } from "../../../shared/errors.ts";
import type { Logger } from "../../../shared/log.ts";
import type { LogTarget } from "../../../shared/log-target.ts";
import { nowNano } from "../../../shared/time.ts";
import { ExitWitness, exitEventsIfNeeded } from "../../../sys/linux/exit-witness.ts";
import { watchExit } from "../../../sys/linux/pidfd.ts";
import { killProcess, processStartTime } from "../../../sys/linux/process.ts";
import type {
	ObservedProcess,
	ProcessExit,
	ProcessIo,
	ResourceUsage,
	RuntimeCommand,
	StartedProcess,
} from "../driver.ts";
import { UNKNOWN_EXIT } from "../driver.ts";
import type { ExecInput, RuntimePaths, StartInput, TerminalFd } from "../protocol.ts";
import {
	type Cgroup,
	type CgroupMounts,
	cgroupExists,
	openCgroup,
	parentsToMake,
	parseCgroupMounts,
	removeEmptyCgroups,
} from "./cgroup.ts";
import { containerUsage } from "./cgroup-usage.ts";
import { type ExecSpare, ExecSpares } from "./exec-spares.ts";
import { splitUnlimited } from "./limits.ts";
import { openLog, reopenLog } from "./logs.ts";
import { endStrays, type OciRuntime, recordedPid } from "./oci-runtime.ts";
import { OciRuntimes } from "./oci-runtimes.ts";
import type { OutputLog } from "./output.ts";
import { type ChildStreams, SupervisedProcess } from "./process.ts";
import type { Reaper } from "./reaper.ts";
import { observed, type ProcessRecord, ProcessRecords, type StartRecord } from "./records.ts";

const SIGKILL = 9;
/** A start that takes longer than this is not waited for. */
const HUNG_START_MS = 20_000;

export interface SupervisorOptions {
	readonly paths: RuntimePaths;
	readonly reaper: Reaper;
	readonly log: Logger;
	/** The parent of the cgroups of containers for which nobody asked for another. */
	readonly ownCgroup: string;
	openLog(target: LogTarget): Promise<OutputLog>;
	onExit(exit: ProcessExit): void;
}

/** A process that is to be started. */
interface StartTarget extends StartRecord {
	readonly io: ProcessIo;
	readonly note?: object;
	readonly madeCgroups?: readonly string[];
	readonly spare?: ExecSpare;
}

type Started = StartedProcess & TerminalFd;

/** Has the OCI runtime start it; answers the pid. */
type RunProcess = (directory: string, streams: ChildStreams) => Promise<number>;

/** Owns every process of one instance: starts it, keeps its streams, learns its exit, and keeps that on disk until it is released. */
export class Supervisor {
	private readonly processes = new Map<string, SupervisedProcess>();
	/** Starts under way, by process id. */
	private readonly starting = new Map<string, Promise<Started>>();
	private readonly records: ProcessRecords;
	private readonly runtimes: OciRuntimes;
	private readonly spares: ExecSpares;
	private readonly mounts: CgroupMounts;
	/** Of processes that an earlier supervisor started. */
	private readonly witness = new ExitWitness(exitEventsIfNeeded());

	constructor(private readonly options: SupervisorOptions) {
		this.records = new ProcessRecords(options.paths.processes);
		this.runtimes = new OciRuntimes(options.paths, options.reaper);
		this.spares = new ExecSpares(options.paths.spares);
		this.mounts = parseCgroupMounts(readFileSync("/proc/self/mounts", "utf8"));
	}

	/**
	 * Takes over what an earlier supervisor left, before anything is asked of this one: starts that it did not finish are undone, running processes
	 * are watched on, ended ones get exit code 255.
	 */
	async adopt(): Promise<void> {
		const { records, unfinished } = this.records.load();
		for (const { pid } of records.filter(({ exit }) => !exit)) this.witness.watch(pid);
		await endStrays(this.options.paths.processes, this.options.paths.spares);
		const cgroupOf = new Map(records.map(({ processId, cgroupsPath }) => [processId, cgroupsPath]));
		for (const start of unfinished) await this.undo(start, cgroupOf.get(start.containerId));
		this.spares.open();
		for (const record of records) {
			const found = this.process(record.processId);
			found.record = record;
			if (record.exit) continue;
			const log = await reopenLog(this.options, record);
			found.adopt(this.records.directory(record.processId), record, log);
			const { pid, startTime } = record;
			watchExit(pid, startTime, () => this.end(found, record, this.witness.take(pid) ?? UNKNOWN_EXIT));
		}
		this.options.log.info("supervisor started", { pid: process.pid, processes: records.length });
	}

	/** What was below the run root is gone: as far as we know it, it is there again. */
	restore(): void {
		mkdirSync(this.options.paths.spares, { recursive: true, mode: 0o700 });
		this.records.restore([...this.processes.values()].flatMap(({ record }) => record ?? []));
	}

	/** Whether anything runs or is being started. */
	get busy(): boolean {
		return this.starting.size > 0 || [...this.processes.values()].some((entry) => entry.running);
	}

	/** The process by id, known or announced by an attach before its start. */
	process(processId: string): SupervisedProcess {
		const known = this.processes.get(processId);
		if (known) return known;
		const added = new SupervisedProcess(processId);
		this.processes.set(processId, added);
		return added;
	}

	/** Its last client has gone and it never started: what they sent is not for a later start under the id. */
	dropUnstarted({ processId, record, clients, input }: SupervisedProcess): void {
		if (record || clients.size > 0 || this.starting.has(processId)) return;
		input.close();
		this.processes.delete(processId);
	}

	start({ containerId, runtime, bundle, cgroupsPath, io }: StartInput): Promise<Started> {
		const target = {
			processId: containerId,
			containerId,
			runtime,
			io,
			cgroupsPath,
			madeCgroups: this.cgroupsToMake(cgroupsPath),
		};
		return this.alone(target, (directory, { stdio, console }) =>
			this.runtimes.open(runtime).run(containerId, bundle, directory, stdio, console),
		);
	}

	async exec({ containerId, execId, process, io, note }: ExecInput): Promise<Started> {
		const container = this.running(containerId);
		const text = JSON.stringify(process);
		const { oomScoreAdj = 0 } = process;
		const plain = !io.tty && !io.stdin;
		const spare = plain ? this.spares.take(containerId, text, oomScoreAdj) : undefined;
		try {
			return await this.alone({ processId: execId, containerId, io, note, spare }, (directory, { stdio, console }) => {
				if (spare) return spare.run(text, directory);
				writeFileSync(`${directory}/process.json`, text, { mode: 0o600 });
				return this.runtimeOf(container).exec(containerId, directory, stdio, console, oomScoreAdj);
			});
		} finally {
			spare?.close();
			if (plain && this.processes.get(containerId)?.running) this.prepareExec(container, oomScoreAdj);
		}
	}

	/** The exec that came before has had its answer: where no other can be prepared, the next one starts as the first did. */
	private prepareExec(container: ProcessRecord, oomScoreAdj: number): void {
		try {
			const runtime = this.runtimeOf(container);
			if (runtime.traits.waitsForExec) this.spares.prepare(container.containerId, runtime, oomScoreAdj);
		} catch (error) {
			this.options.log.warn("no exec can be prepared", { id: container.containerId, error: messageOf(error) });
		}
	}

	kill(processId: string, signal: number, all: boolean): void {
		const { pid, startTime, cgroupsPath } = this.running(processId);
		if (all && cgroupsPath !== undefined) {
			for (const each of openCgroup(this.mounts, cgroupsPath).pids()) killProcess(each, signal);
			return;
		}
		// Still ours: its exit has not been taken (our child), or its start time is the same (adopted).
		if (processStartTime(pid) === startTime || startTime === "") killProcess(pid, signal);
	}

	/** Kills every process there is; resolves when all have ended. */
	async killAll(): Promise<void> {
		const running = [...this.processes.values()].filter((entry) => entry.running);
		for (const { processId, record } of running) this.kill(processId, SIGKILL, record?.cgroupsPath !== undefined);
		await Promise.all(running.map(({ ended }) => ended));
	}

	resize(processId: string, rows: number, columns: number): void {
		this.running(processId);
		this.process(processId).resize(rows, columns);
	}

	async pause(containerId: string): Promise<void> {
		await this.cgroup(containerId).freeze();
	}

	resume(containerId: string): void {
		this.cgroup(containerId).thaw();
	}

	pids(containerId: string): number[] {
		return this.cgroup(containerId).pids();
	}

	usage(containerId: string): ResourceUsage {
		const { cgroupsPath, pid } = this.running(containerId);
		if (cgroupsPath === undefined) throw new EngineError("invalid", `${containerId} is an exec, not a container`);
		return containerUsage(this.mounts, cgroupsPath, pid);
	}

	async update(containerId: string, resources: SpecResources): Promise<void> {
		const runtime = this.runtimeOf(this.running(containerId));
		const { limits, unlimited } = runtime.traits.updatesToUnlimited
			? { limits: resources, unlimited: [] }
			: splitUnlimited(resources);
		const cgroup = this.cgroup(containerId);
		if (unlimited.includes("pids")) cgroup.unlimitPids();
		if (unlimited.includes("cpu")) cgroup.unlimitCpu();
		if (Object.keys(limits).length === 0) return;
		await runtime.update(containerId, this.records.directory(containerId), limits);
	}

	/**
	 * Starts under way are waited for: what asked for them may be gone, and its successor must hear of what they made. Not for ever: an OCI runtime
	 * that hangs must not keep a daemon from starting.
	 */
	async list(): Promise<(ObservedProcess & TerminalFd)[]> {
		if (this.starting.size > 0) {
			await Promise.race([Promise.allSettled(this.starting.values()), Bun.sleep(HUNG_START_MS)]);
		}
		const known = [...this.processes.values()];
		return known.flatMap(({ record, terminal }) => (record ? [{ ...observed(record), terminal }] : []));
	}

	/** Kills what runs, forgets record, runtime state and clients. */
	async release(processId: string): Promise<void> {
		await Promise.allSettled([this.starting.get(processId)]);
		const found = this.processes.get(processId);
		if (!found) return this.endUnknown(processId);
		if (found.record && found.running) {
			const { cgroupsPath } = found.record;
			if (cgroupsPath !== undefined) openCgroup(this.mounts, cgroupsPath).thaw();
			this.kill(processId, SIGKILL, cgroupsPath !== undefined);
			await found.ended;
		}
		found.input.close();
		found.clients.end();
		this.records.remove(processId);
		this.processes.delete(processId);
	}

	/** A container whose records are lost may run on: nobody would own it. */
	private async endUnknown(containerId: string): Promise<void> {
		const cgroupsPath = `${this.options.ownCgroup}/${containerId}`;
		if (!cgroupExists(this.mounts, cgroupsPath)) return;
		this.options.log.warn("a container without a record is ended", { id: containerId });
		const cgroup = openCgroup(this.mounts, cgroupsPath);
		cgroup.thaw();
		await this.cleanUp(containerId, cgroup, undefined);
	}

	/** One start at a time of a process. */
	private async alone(target: StartTarget, run: RunProcess): Promise<Started> {
		const { processId } = target;
		if (this.starting.has(processId)) throw new EngineError("conflict", `process ${processId} is already starting`);
		const start = this.begin(target, run);
		this.starting.set(processId, start);
		try {
			return await start;
		} finally {
			this.starting.delete(processId);
		}
	}

	private async begin(target: StartTarget, run: RunProcess): Promise<Started> {
		const { spare, ...recorded } = target;
		const { processId, io } = recorded;
		if (this.process(processId).record) await this.releaseEnded(processId);
		const entry = this.process(processId);
		const directory = this.records.create(target);
		try {
			return await this.options.reaper.during(async () => {
				const log = await openLog(this.options, io);
				const pipes = spare?.handOver(directory);
				const start = async (streams: ChildStreams) => {
					const pid = await run(directory, streams);
					return { ...recorded, pid, startTime: processStartTime(pid) ?? "", startedAt: nowNano() };
				};
				await entry.open(directory, io, log, start, pipes);
				const { record } = entry;
				if (!record) throw new EngineError("internal", `process ${processId} has no record`);
				this.records.save(record);
				this.options.reaper.wait(record.pid).then((exitCode) => this.end(entry, record, exitCode));
				return { pid: record.pid, startedAt: record.startedAt, terminal: entry.terminal };
			});
		} catch (error) {
			this.processes.delete(processId);
			await this.undo(target, this.processes.get(target.containerId)?.record?.cgroupsPath);
			throw error;
		}
	}

	/**
	 * Nothing stays of a start that failed or was cut off.
	 * @param containerCgroup for an exec: where its process would run, if its container does
	 */
	private async undo(
		{ processId, containerId, cgroupsPath, runtime }: StartRecord,
		containerCgroup: string | undefined,
	): Promise<void> {
		try {
			if (cgroupsPath !== undefined) {
				const cgroup = openCgroup(this.mounts, cgroupsPath);
				cgroup.thaw();
				await this.cleanUp(containerId, cgroup, runtime);
			} else if (containerCgroup !== undefined) {
				const pid = recordedPid(this.records.directory(processId));
				const inside = openCgroup(this.mounts, containerCgroup).pids();
				if (pid !== undefined && inside.includes(pid)) killProcess(pid, SIGKILL);
			}
			this.records.remove(processId);
		} catch (error) {
			// Its directory stays: the next supervisor tries again.
			this.options.log.error("cannot undo a start", { id: processId, error: messageOf(error) });
		}
	}

	/** A container starts again under its id: the record of its last run goes. */
	private async releaseEnded(processId: string): Promise<void> {
		if (this.process(processId).running) throw new EngineError("conflict", `process ${processId} is already running`);
		await this.release(processId);
	}

	/** The process has ended: everything it wrote is logged first, then its cgroup goes, then the exit is recorded and told. */
	private async end(entry: SupervisedProcess, record: ProcessRecord, exitCode: number): Promise<void> {
		const { processId, containerId, cgroupsPath, runtime } = record;
		const exitedAt = nowNano();
		let oomKilled = false;
		try {
			if (cgroupsPath !== undefined)
				oomKilled = await this.cleanUp(containerId, openCgroup(this.mounts, cgroupsPath), runtime);
			removeEmptyCgroups(this.mounts, record.madeCgroups ?? []);
			await entry.drain();
		} catch (error) {
			this.options.log.error("cannot clean up after a container", { id: containerId, error: messageOf(error) });
		}
		const exit = { processId, containerId, exitCode, oomKilled, exitedAt };
		this.recordExit({ ...record, exit });
		// Told before the streams end: who sees the end and asks finds the exit code.
		this.options.onExit(exit);
		// Last: until now an exec may have made another wait.
		this.spares.forget(processId);
		entry.conclude(record, exit);
	}

	/** On a full disk the exit is told all the same; only a later supervisor would not know the code. */
	private recordExit(record: ProcessRecord): void {
		try {
			this.records.save(record);
		} catch (error) {
			this.options.log.error("cannot record an exit", { id: record.processId, error: messageOf(error) });
		}
	}

	private async cleanUp(containerId: string, cgroup: Cgroup, runtime: RuntimeCommand | undefined): Promise<boolean> {
		const killed = cgroup.oomKills() > 0;
		await cgroup.remove();
		if (runtime) await this.runtimes.forget(runtime, containerId, this.records.directory(containerId));
		return killed;
	}

	private cgroupsToMake(cgroupsPath: string): readonly string[] {
		const neighbours = [...this.processes.values()].flatMap(({ record }) => record?.madeCgroups ?? []);
		return parentsToMake(this.mounts, cgroupsPath, this.options.ownCgroup, neighbours);
	}

	private running(processId: string): ProcessRecord {
		const record = this.processes.get(processId)?.record;
		if (!record || record.exit) throw new EngineError("conflict", `process ${processId} is not running`);
		return record;
	}

	private runtimeOf({ containerId, runtime }: ProcessRecord): OciRuntime {
		if (runtime) return this.runtimes.open(runtime);
		throw new EngineError("internal", `nothing tells which OCI runtime runs ${containerId}`);
	}

	private cgroup(containerId: string): Cgroup {
		const { cgroupsPath } = this.running(containerId);
		if (cgroupsPath === undefined) throw new EngineError("invalid", `${containerId} is an exec, not a container`);
		return openCgroup(this.mounts, cgroupsPath);
	}
}
