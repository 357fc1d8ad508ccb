import type { SpecResources } from "../../oci/runtime-spec.ts";
import { EngineError, type ErrorCode } from "../../shared/errors.ts";
import type {
	AttachStreams,
	ObservedProcess,
	ProcessExit,
	ProcessIo,
	ResourceUsage,
	RuntimeCommand,
	RuntimeFamily,
	StartedProcess,
} from "./driver.ts";

/**
 * What driver and supervisor say to each other over the unix socket: one JSON text a line. A connection opens with a `Greeting`. After
 * `control` both sides send lines for good; after `attach` the supervisor answers with one `Reply` line, then both directions are raw bytes.
 */
export type Greeting =
	| { readonly open: "control" }
	| { readonly open: "attach"; readonly processId: string; readonly streams: AttachStreams };

/** The operations of a control connection, with what each is given and what it answers. */
export interface Operations {
	start: { input: StartInput; output: StartedProcess & TerminalFd };
	exec: { input: ExecInput; output: StartedProcess & TerminalFd };
	kill: { input: { processId: string; signal: number; all: boolean }; output: null };
	resize: { input: { processId: string; rows: number; columns: number }; output: null };
	pause: { input: { containerId: string }; output: null };
	resume: { input: { containerId: string }; output: null };
	pids: { input: { containerId: string }; output: number[] };
	usage: { input: { containerId: string }; output: ResourceUsage };
	/** `resources` as in the spec. */
	update: { input: { containerId: string; resources: SpecResources }; output: null };
	/** The terminal of a process that an earlier supervisor started, back from the daemon. One that is not needed is left. */
	terminal: { input: HandedTerminal; output: null };
	list: { input: Record<string, never>; output: (ObservedProcess & TerminalFd)[] };
	release: { input: { processId: string }; output: null };
	/** Ends the supervisor; "conflict" while a process runs. */
	shutdown: { input: Record<string, never>; output: null };
}

/** The fd that the master of a process's terminal has in the supervisor. */
export interface TerminalFd {
	readonly terminal?: number;
}

/** The fd that it has in process `pid`. */
export interface HandedTerminal {
	readonly processId: string;
	readonly pid: number;
	readonly fd: number;
}

/** The bundle's config.json is written already. */
export interface StartInput {
	readonly containerId: string;
	readonly runtime: RuntimeCommand;
	readonly bundle: string;
	/** As in the spec: below each controller's mount. */
	readonly cgroupsPath: string;
	readonly io: ProcessIo;
}

export interface ExecInput {
	readonly containerId: string;
	readonly execId: string;
	/** A process of the runtime spec; passed on as it is. */
	readonly process: { readonly oomScoreAdj?: number };
	readonly io: ProcessIo;
	readonly note?: object;
}

export type OperationName = keyof Operations;

export interface Request {
	readonly id: number;
	readonly call: OperationName;
	readonly input: unknown;
}

export interface Reply {
	readonly id: number;
	readonly output?: unknown;
	readonly error?: { readonly code: ErrorCode; readonly message: string };
}

export interface ExitNotice {
	readonly exit: ProcessExit;
}

/** Cuts a byte stream into lines. */
export class LineSplitter {
	private rest: Buffer = Buffer.alloc(0);

	/** The lines that `chunk` completes, without their newline. */
	push(chunk: Uint8Array): string[] {
		const lines: string[] = [];
		let data = this.rest.length > 0 ? Buffer.concat([this.rest, chunk]) : Buffer.from(chunk);
		for (let at = data.indexOf(10); at >= 0; at = data.indexOf(10)) {
			lines.push(data.toString("utf8", 0, at));
			data = data.subarray(at + 1);
		}
		this.rest = data;
		return lines;
	}

	/** Bytes after the last line. */
	remainder(): Buffer {
		return this.rest;
	}
}

/** The wire form of anything thrown. */
export function errorReply(id: number, error: unknown): Reply {
	const code = error instanceof EngineError ? error.code : "internal";
	return { id, error: { code, message: error instanceof Error ? error.message : String(error) } };
}

/** Paths below the driver's run root. */
export function runtimePaths(runRoot: string) {
	return {
		root: runRoot,
		socket: `${runRoot}/supervisor.sock`,
		lock: `${runRoot}/supervisor.lock`,
		/** `PID STARTTIME` of the supervisor. */
		pid: `${runRoot}/supervisor.pid`,
		log: `${runRoot}/supervisor.log`,
		/** One directory per process: record, FIFOs, pid file. */
		processes: `${runRoot}/processes`,
		/** Of runtimes that wait for an exec. */
		spares: `${runRoot}/spares`,
		/** What OCI runtimes of a family keep of their containers. */
		runtimeState: (family: RuntimeFamily) => `${runRoot}/${family === "other" ? "other-runtimes" : family}`,
	};
}

export type RuntimePaths = ReturnType<typeof runtimePaths>;
