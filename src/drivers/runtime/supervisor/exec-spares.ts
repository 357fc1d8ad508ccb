import { closeSync, constants, mkdirSync, openSync, renameSync, rmSync, symlinkSync, writeSync } from "node:fs";
import { type FifoEnds, makeFifo, openOutputFifo } from "../../../sys/linux/fifo.ts";
import { killProcess } from "../../../sys/linux/process.ts";
import { closeQuietly } from "./input.ts";
import { type OciRuntime, readPid, type WaitingExec } from "./oci-runtime.ts";
import type { OutputPipes } from "./process.ts";

const SIGKILL = 9;
/** After two execs of a container that come within this time a third is expected within it. Most health checks are further apart: no gain there. */
const WAITING_MS = 10_000;
/** Each is a process of some 0.6 MB. The one that waits longest makes room. */
const SPARES = 8;
/** What a FIFO takes at once. */
const PROCESS_BYTES = 32 * 1024;
/** Opens a FIFO only when somebody reads, or waits to. */
const DOOR = constants.O_WRONLY | constants.O_NONBLOCK | 0o2000000;

/**
 * Runtimes that were started before their exec came: each has found its container and waits at a FIFO for the process to run. Starting a
 * runtime is some two fifths of an exec's time. For execs without terminal and stdin that follow each other closely.
 */
export class ExecSpares {
	private readonly spares = new Map<string, ExecSpare>();
	/** When the last exec of a container came, in ms. */
	private readonly last = new Map<string, number>();
	private made = 0;

	/** @param root directory for them alone */
	constructor(private readonly root: string) {}

	/** Begins: what an earlier supervisor left is removed. Starts that it did not finish may have their pid there until then. */
	open(): void {
		rmSync(this.root, { recursive: true, force: true });
		mkdirSync(this.root, { recursive: true, mode: 0o700 });
	}

	/** One that waits for this exec, if there is one; whoever takes it closes it at last. @param process the spec's, as JSON */
	take(containerId: string, process: string, oomScoreAdj: number): ExecSpare | undefined {
		const spare = this.spares.get(containerId);
		if (spare?.oomScoreAdj !== oomScoreAdj || Buffer.byteLength(process) > PROCESS_BYTES || !spare.ready())
			return undefined;
		this.spares.delete(containerId);
		return spare;
	}

	/** An exec has come: another may, soon. */
	prepare(containerId: string, runtime: OciRuntime, oomScoreAdj: number): void {
		const before = this.last.get(containerId);
		this.last.set(containerId, performance.now());
		if (before === undefined || performance.now() - before > WAITING_MS) return;
		this.drop(containerId);
		const [oldest] = this.spares.keys();
		if (oldest !== undefined && this.spares.size >= SPARES) this.drop(oldest);
		const directory = `${this.root}/${this.made++}`;
		mkdirSync(directory, { mode: 0o700 });
		const gone = () => {
			if (this.spares.get(containerId) === spare) this.drop(containerId);
		};
		const spare = new ExecSpare(runtime, containerId, directory, oomScoreAdj, gone);
		this.spares.set(containerId, spare);
	}

	/** The container has ended. */
	forget(containerId: string): void {
		this.drop(containerId);
		this.last.delete(containerId);
	}

	private drop(containerId: string): void {
		this.spares.get(containerId)?.close();
		this.spares.delete(containerId);
	}
}

/** One runtime that waits. */
export class ExecSpare {
	private readonly pipes: OutputPipes;
	private readonly waiting: WaitingExec;
	private readonly timer: ReturnType<typeof setTimeout>;
	private door: number | undefined;
	private handedOver = false;
	private closed = false;

	/** @param gone it ended, or nobody came in time */
	constructor(
		runtime: OciRuntime,
		containerId: string,
		private readonly directory: string,
		readonly oomScoreAdj: number,
		gone: () => void,
	) {
		const opened: FifoEnds[] = [];
		const output = (name: string) => {
			makeFifo(`${directory}/${name}`);
			const ends = openOutputFifo(`${directory}/${name}`);
			opened.push(ends);
			return ends;
		};
		try {
			makeFifo(`${directory}/process.json`);
			this.pipes = { stdout: output("stdout"), stderr: output("stderr") };
			const stdio = [undefined, this.pipes.stdout.theirs, this.pipes.stderr.theirs] as const;
			this.waiting = runtime.execWaiting(containerId, directory, stdio, oomScoreAdj);
		} catch (error) {
			closeAll(opened);
			rmSync(directory, { recursive: true, force: true });
			throw error;
		}
		this.timer = setTimeout(gone, WAITING_MS);
		this.timer.unref();
		this.waiting.ended.then(gone, gone);
	}

	/** Whether it has come as far as reading the process. */
	ready(): boolean {
		try {
			this.door ??= openSync(`${this.directory}/process.json`, DOOR);
			return true;
		} catch {
			return false;
		}
	}

	/** What it makes is found in the exec's own directory from now on, and its pipes are the caller's. */
	handOver(directory: string): OutputPipes {
		for (const name of ["stdout", "stderr"]) renameSync(`${this.directory}/${name}`, `${directory}/${name}`);
		// Not the other way round: runc puts its file in the place of what is there.
		symlinkSync(`${this.directory}/pid`, `${directory}/pid`);
		this.handedOver = true;
		return this.pipes;
	}

	/** Runs the process; its pid. Throws EngineError with the runtime's text. @param directory that was given to `handOver` */
	async run(process: string, directory: string): Promise<number> {
		if (this.door === undefined) throw new Error("run before ready");
		writeSync(this.door, process);
		closeSync(this.door);
		this.door = undefined;
		await this.waiting.succeeded();
		return readPid(directory);
	}

	/** Ends the runtime unless it has run, and leaves nothing of it. */
	close(): void {
		if (this.closed) return;
		this.closed = true;
		clearTimeout(this.timer);
		if (this.waiting.running) killProcess(this.waiting.pid, SIGKILL);
		if (this.door !== undefined) closeQuietly(this.door);
		if (!this.handedOver) closeAll(Object.values(this.pipes));
		rmSync(this.directory, { recursive: true, force: true });
	}
}

function closeAll(pipes: readonly FifoEnds[]): void {
	for (const { ours, theirs } of pipes) [ours, theirs].forEach(closeQuietly);
}
