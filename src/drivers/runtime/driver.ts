import type { Duplex } from "node:stream";
import type { RuntimeSpec, SpecProcess, SpecResources } from "../../oci/runtime-spec.ts";
import type { LogTarget } from "../../shared/log-target.ts";
import type { SeccompChoice } from "./seccomp/annotation.ts";

/**
 * Runs processes in containers. Whatever implements it owns their output, stdin, tty and exit status in something that outlives the
 * daemon: after `kill -9` of the daemon a new driver on the same run root finds every process again through `list`.
 *
 * A process id is the container's id for its first process and the exec's id for an exec: both are addressed the same way.
 */
export interface RuntimeDriver {
	/** Finds or starts what owns the processes, and begins to deliver exits. Exits that happened while no daemon ran come from `list`. */
	open(onExit: (exit: ProcessExit) => void): Promise<void>;
	/**
	 * Creates and starts a container's first process.
	 * Throws EngineError "invalid" with the runtime's own text when the command cannot be run (engine maps it to exit 126/127), "internal" else;
	 * nothing is left behind then.
	 */
	start(request: StartRequest): Promise<StartedProcess>;
	/** Starts a further process in a running container. Errors as `start`. */
	exec(request: ExecRequest): Promise<StartedProcess>;
	/**
	 * Joins the streams of a process, before or after its start. The readable side carries docker's multiplexed frames (raw bytes with a tty) and
	 * ends when the process's output has ended; the writable side is stdin: `end()` half-closes it, which reaches the process when `stdin` is set
	 * and the process was declared `stdinOnce`, or for an exec always. `destroy()` detaches.
	 */
	attach(processId: string, streams: AttachStreams): Promise<Duplex>;
	/** Sends a signal to the first process (`all`: to every process of the container). "conflict" when it does not run. */
	kill(processId: string, signal: number, all?: boolean): Promise<void>;
	/** Terminal size in rows and columns; "conflict" when the process has no terminal or does not run. */
	resize(processId: string, rows: number, columns: number): Promise<void>;
	pause(containerId: string): Promise<void>;
	resume(containerId: string): Promise<void>;
	/** Pids in the host's pid namespace of everything that runs in the container. */
	pids(containerId: string): Promise<number[]>;
	/** What a running container uses at this moment. "conflict" when it does not run. */
	usage(containerId: string): Promise<ResourceUsage>;
	/** Sets these limits of a running container, and leaves the others. Throws "internal" with the runtime's or kernel's text; some may be set then. */
	update(containerId: string, resources: Omit<SpecResources, "devices">): Promise<void>;
	/** Every process not yet released: running ones and exits kept for the daemon. */
	list(): Promise<ObservedProcess[]>;
	/** Forgets a process: exit record, runtime state directory, cgroup, FIFOs, open attaches. For a running container it kills first. Safe to repeat. */
	release(processId: string): Promise<void>;
	/** Lets go of the connection; the processes run on. */
	close(): Promise<void>;
}

export interface ProcessIo {
	readonly tty: boolean;
	/** Keep stdin open; false gives /dev/null. */
	readonly stdin: boolean;
	/** Close stdin when the first attached client goes or half-closes. */
	readonly stdinOnce: boolean;
	/** Where output is logged; undefined: nowhere. */
	readonly log?: LogTarget;
}

/** Runtimes of which the engine knows more than the specification says, and all others. */
export type RuntimeFamily = "crun" | "runc" | "other";

/** An OCI runtime of this machine. */
export interface RuntimeCommand {
	readonly path: string;
	/** Come before the engine's own. */
	readonly args: readonly string[];
	readonly family: RuntimeFamily;
}

export interface StartRequest {
	readonly containerId: string;
	/** Runs the container, and all execs in it. */
	readonly runtime: RuntimeCommand;
	/** Directory that the engine made; the driver writes config.json into it. */
	readonly bundle: string;
	readonly spec: RuntimeSpec;
	/** System calls that are let through; the driver puts it into the spec as the runtime takes it. Throws EngineError on a faulty profile. */
	readonly seccomp: {
		readonly profile: SeccompChoice;
		/** That the container gets, as in the spec. */
		readonly capabilities: readonly string[];
	};
	readonly io: ProcessIo;
}

export interface ExecRequest {
	readonly containerId: string;
	readonly execId: string;
	readonly process: SpecProcess;
	readonly io: ProcessIo;
	/** Kept with the process, and given back by `list`: what the next daemon is to know of it. */
	readonly note?: object;
}

export interface AttachStreams {
	readonly stdin: boolean;
	readonly stdout: boolean;
	readonly stderr: boolean;
}

export interface StartedProcess {
	readonly pid: number;
	/** RFC 3339 nano */
	readonly startedAt: string;
}

/** Exit code of a process that nobody saw end. */
export const UNKNOWN_EXIT = 255;

export interface ProcessExit {
	readonly processId: string;
	readonly containerId: string;
	/** 0..255; 128 + n for signal n; UNKNOWN_EXIT when it could not be learnt. */
	readonly exitCode: number;
	readonly oomKilled: boolean;
	/** RFC 3339 nano. All output has been logged by the time an exit is reported. */
	readonly exitedAt: string;
}

/** Numbers of a container's cgroup (v1 or v2) and network, and of the machine at the same time. Times in nanoseconds, sizes in bytes. */
export interface ResourceUsage {
	readonly version: 1 | 2;
	readonly cpu: {
		readonly total: number;
		readonly user: number;
		readonly kernel: number;
		/** v1 */
		readonly perCpu?: readonly number[];
		readonly periods: number;
		readonly throttledPeriods: number;
		readonly throttledTime: number;
	};
	readonly memory: {
		readonly usage: number;
		/** v1 */
		readonly maxUsage?: number;
		/** v1 */
		readonly failures?: number;
		/** undefined: none (v2); above the machine's memory: none (v1) */
		readonly limit?: number;
		/** memory.stat as the kernel names it */
		readonly stats: Readonly<Record<string, number>>;
	};
	readonly blockIo: BlockIo;
	readonly pids: { readonly current: number; readonly limit?: number };
	readonly networks: Readonly<Record<string, NetworkUsage>>;
	/** Of the machine. `cpu` sums all CPUs. */
	readonly system: { readonly cpu: number; readonly onlineCpus: number; readonly memory: number };
}

/** v2 has bytes alone. */
export interface BlockIo {
	readonly serviceBytes: readonly BlockIoEntry[];
	readonly serviced?: readonly BlockIoEntry[];
	readonly queued?: readonly BlockIoEntry[];
	readonly serviceTime?: readonly BlockIoEntry[];
	readonly waitTime?: readonly BlockIoEntry[];
	readonly merged?: readonly BlockIoEntry[];
	readonly time?: readonly BlockIoEntry[];
	readonly sectors?: readonly BlockIoEntry[];
}

export interface BlockIoEntry {
	readonly major: number;
	readonly minor: number;
	readonly op: string;
	readonly value: number;
}

export interface NetworkUsage {
	readonly rxBytes: number;
	readonly rxPackets: number;
	readonly rxErrors: number;
	readonly rxDropped: number;
	readonly txBytes: number;
	readonly txPackets: number;
	readonly txErrors: number;
	readonly txDropped: number;
}

export interface ObservedProcess {
	readonly processId: string;
	readonly containerId: string;
	readonly pid: number;
	readonly startedAt: string;
	readonly exit?: ProcessExit;
	/** As the exec was given it. */
	readonly note?: object;
}
