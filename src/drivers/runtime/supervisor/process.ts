import { closeSync } from "node:fs";
import { EngineError } from "../../../shared/errors.ts";
import { listenConsole, setTerminalSize } from "../../../sys/linux/console-socket.ts";
import { copyTerminal } from "../../../sys/linux/copy-fd.ts";
import { type FifoEnds, makeFifo, openInputFifo, openOutputFifo, reopenOutputFifo } from "../../../sys/linux/fifo.ts";
import { duplicateFd } from "../../../sys/linux/process.ts";
import type { ProcessExit, ProcessIo } from "../driver.ts";
import { type AttachedClient, Attachments } from "./attachments.ts";
import { ProcessInput } from "./input.ts";
import type { Stdio } from "./oci-runtime.ts";
import { type OutputLog, ProcessOutput } from "./output.ts";
import type { ProcessRecord } from "./records.ts";

/** What a start is given: the child's side of its streams. */
export interface ChildStreams {
	readonly stdio: Stdio;
	readonly console?: string;
}

/** Where a process writes. */
export interface OutputPipes {
	readonly stdout: FifoEnds;
	readonly stderr: FifoEnds;
}

/**
 * One process from the first attach to its release: clients may come before it starts, and its record outlives its end.
 * `record` is undefined until it has started.
 */
export class SupervisedProcess {
	readonly clients = new Attachments();
	readonly input = new ProcessInput();
	record: ProcessRecord | undefined;
	/** Resolves when the exit is recorded. */
	readonly ended: Promise<ProcessExit>;
	private resolveEnded: (exit: ProcessExit) => void = () => {};
	private output: ProcessOutput | undefined;
	private master: number | undefined;
	private io: ProcessIo | undefined;
	/** A client's stdin ended before the process started: what it sent, and its end, are the process's first input. */
	private endedEarly = false;

	constructor(readonly processId: string) {
		this.ended = new Promise((resolve) => {
			this.resolveEnded = resolve;
		});
	}

	get running(): boolean {
		return this.record !== undefined && this.record.exit === undefined;
	}

	/**
	 * Makes the streams in `directory`, runs `start` with the child's side, and begins to read ours. When `start` throws, all is closed and
	 * attached clients see the end of the stream.
	 * @param pipes of a process without terminal, when they are made already; ours from now on
	 */
	async open(
		directory: string,
		io: ProcessIo,
		log: OutputLog | undefined,
		start: (streams: ChildStreams) => Promise<ProcessRecord>,
		pipes?: OutputPipes,
	): Promise<void> {
		this.io = io;
		this.output = new ProcessOutput(io, this.clients, log);
		if (this.endedEarly) this.inputEnded();
		try {
			this.record = io.tty
				? await this.openTerminal(directory, start)
				: await this.openPipes(directory, io, start, pipes);
		} catch (error) {
			this.input.close();
			this.clients.end();
			await log?.close();
			throw error;
		}
	}

	/** The fd of its terminal's master. */
	get terminal(): number | undefined {
		return this.master;
	}

	/** Takes over a process that an earlier supervisor started: its output goes on; a terminal waits for `takeTerminal`, its stdin has ended. */
	adopt(directory: string, record: ProcessRecord, log: OutputLog | undefined): void {
		this.record = record;
		this.io = record.io;
		this.output = new ProcessOutput(record.io, this.clients, log);
		if (record.io.tty) return;
		this.input.open(undefined);
		for (const stream of ["stdout", "stderr"] as const) {
			this.output.read(stream, reopenOutputFifo(`${directory}/${stream}`));
		}
	}

	/** The terminal of an adopted process, from who held it meanwhile. Throws SyscallError when it is not there. */
	takeTerminal(pid: number, fd: number): void {
		if (this.io?.tty && this.running && this.master === undefined) this.useTerminal(copyTerminal(pid, fd));
	}

	attach(client: AttachedClient): void {
		this.clients.add(client);
		if (this.record?.exit) client.end();
	}

	/** The stdin side of a client is finished, by half-close or by going away. */
	inputEnded(): void {
		if (this.io === undefined) {
			this.endedEarly = true;
			return;
		}
		const isExec = this.record !== undefined && this.record.cgroupsPath === undefined;
		if (!this.io.tty && (this.io.stdinOnce || isExec)) this.input.end();
	}

	resize(rows: number, columns: number): void {
		if (this.master === undefined || !this.running) {
			throw new EngineError("conflict", `cannot resize: process ${this.processId} has no terminal or is not running`);
		}
		setTerminalSize(this.master, rows, columns);
	}

	/** All output of the ended process is logged and sent when this resolves; then `conclude`. */
	async drain(): Promise<void> {
		this.input.close();
		await this.output?.drain();
	}

	/** The exit is known: waiters are told, clients' streams end. */
	conclude(record: ProcessRecord, exit: ProcessExit): void {
		this.record = { ...record, exit };
		this.master = undefined;
		this.clients.end();
		this.resolveEnded(exit);
	}

	private async openPipes(
		directory: string,
		io: ProcessIo,
		start: (streams: ChildStreams) => Promise<ProcessRecord>,
		pipes?: OutputPipes,
	): Promise<ProcessRecord> {
		const theirs: number[] = [];
		const ours: number[] = [];
		const add = (ends: { ours: number; theirs: number }) => {
			theirs.push(ends.theirs);
			ours.push(ends.ours);
			return ends;
		};
		try {
			const stdout = add(pipes?.stdout ?? makeOutput(`${directory}/stdout`));
			const stderr = add(pipes?.stderr ?? makeOutput(`${directory}/stderr`));
			if (io.stdin) makeFifo(`${directory}/stdin`);
			const stdin = io.stdin ? add(openInputFifo(`${directory}/stdin`)) : undefined;
			const record = await start({ stdio: [stdin?.theirs, stdout.theirs, stderr.theirs] });
			this.output?.read("stdout", stdout.ours);
			this.output?.read("stderr", stderr.ours);
			this.input.open(stdin?.ours);
			return record;
		} catch (error) {
			ours.forEach(closeSync);
			throw error;
		} finally {
			theirs.forEach(closeSync);
		}
	}

	private useTerminal(master: number): void {
		this.master = master;
		this.output?.read("stdout", master);
		// A second fd: each is closed by its own side.
		this.input.open(this.io?.stdin ? duplicateFd(master) : undefined, true);
	}

	private async openTerminal(
		directory: string,
		start: (streams: ChildStreams) => Promise<ProcessRecord>,
	): Promise<ProcessRecord> {
		const socket = listenConsole(`${directory}/console`);
		try {
			const record = await start({ stdio: [undefined, undefined, undefined], console: socket.path });
			this.useTerminal(socket.receive());
			return record;
		} finally {
			socket.close();
		}
	}
}

function makeOutput(path: string): FifoEnds {
	makeFifo(path);
	return openOutputFifo(path);
}
