import { closeSync, mkdirSync, openSync, readFileSync, writeFileSync } from "node:fs";
import type { RuntimeSpec } from "../../oci/runtime-spec.ts";
import { messageOf } from "../../shared/errors.ts";
import type { Logger } from "../../shared/log.ts";
import { enterMountNamespace } from "../../sys/linux/mount-namespace.ts";
import { reapChild, spawnProcess } from "../../sys/linux/process.ts";
import { connectAttach, connectSupervisor, type SupervisorConnection } from "./connection.ts";
import {
	type ProcessExit,
	type RuntimeDriver,
	type StartedProcess,
	type StartRequest,
	UNKNOWN_EXIT,
} from "./driver.ts";
import { HeldProcesses } from "./held-processes.ts";
import { type OperationName, type Operations, type RuntimePaths, runtimePaths, type TerminalFd } from "./protocol.ts";
import { seccompAnnotation } from "./seccomp/annotation.ts";
import { seccompSpec } from "./seccomp/spec.ts";
import { traitsOf } from "./traits.ts";

export interface RuntimeDriverOptions {
	/** Directory of the runtime's own state (tmpfs, 0700); made when missing. Short: socket paths below it must fit 107 bytes. */
	readonly runRoot: string;
	readonly instance: string;
	/** Command that starts the supervisor mode, to which flags are added: `[binary, "supervisor"]`. */
	readonly selfExe: readonly [string, ...string[]];
	readonly log: Logger;
}

const CONNECT_TRIES = 1000;
const CONNECT_WAIT_MS = 5;
const RESPAWN_WAIT_MS = 100;
/** One that is being killed may still take a connection. */
const TRIES = 5;
/** Asked again of the next supervisor when one dies over them. */
const REPEATABLE: ReadonlySet<OperationName> = new Set<OperationName>(["list", "pids", "usage", "release"]);

/** See `enterMountNamespace`: call it first thing in the daemon, with the driver's run root. May execute the process again. */
export function enterEngineMountNamespace(runRoot: string): void {
	let supervisor: string | undefined;
	try {
		supervisor = readFileSync(runtimePaths(runRoot).pid, "utf8");
	} catch {
		// none has run
	}
	enterMountNamespace(supervisor);
}

/** The driver for Linux: one supervisor process per instance, which outlives the daemon, runs the OCI runtime and owns what it starts. */
export function createRuntimeDriver(options: RuntimeDriverOptions): RuntimeDriver {
	const client = new SupervisorClient(options, runtimePaths(options.runRoot));
	const call: SupervisorClient["call"] = (name, input) => client.call(name, input);
	return {
		open: (onExit) => client.open(onExit),
		close: async () => client.close(),
		start: (request) => {
			writeBundle(request);
			const { containerId, runtime, bundle, io, spec } = request;
			client.forget(containerId);
			const input = { containerId, runtime, bundle, io, cgroupsPath: spec.linux.cgroupsPath };
			return client.holding(containerId, call("start", input));
		},
		exec: (request) => client.holding(request.execId, call("exec", request)),
		attach: (processId, streams) => client.attach({ open: "attach", processId, streams }),
		kill: async (processId, signal, all = false) => void (await call("kill", { processId, signal, all })),
		resize: async (processId, rows, columns) => void (await call("resize", { processId, rows, columns })),
		pause: async (containerId) => void (await call("pause", { containerId })),
		resume: async (containerId) => void (await call("resume", { containerId })),
		pids: (containerId) => call("pids", { containerId }),
		usage: (containerId) => call("usage", { containerId }),
		update: async (containerId, resources) => void (await call("update", { containerId, resources })),
		list: () => call("list", {}),
		release: async (processId) => {
			await call("release", { processId });
			client.forget(processId);
		},
	};
}

/** Ends the supervisor of a run root (for uninstalling and tests). "conflict" while a process runs; none there is fine. */
export async function stopSupervisor(runRoot: string): Promise<void> {
	let connection: SupervisorConnection;
	try {
		connection = await connectSupervisor(runtimePaths(runRoot).socket, () => {});
	} catch {
		return;
	}
	await connection.call("shutdown", {});
	await connection.closed;
}

function writeBundle(request: StartRequest): void {
	writeFileSync(`${request.bundle}/config.json`, JSON.stringify(withSeccomp(request)), { mode: 0o600 });
}

/** The spec with the filter as the runtime takes it. */
function withSeccomp({ runtime, spec, seccomp: { profile, capabilities } }: StartRequest): RuntimeSpec {
	if (traitsOf(runtime.family).takesCompiledSeccomp)
		return { ...spec, annotations: { ...spec.annotations, ...seccompAnnotation(profile, capabilities) } };
	const seccomp = seccompSpec(profile, capabilities);
	return seccomp ? { ...spec, linux: { ...spec.linux, seccomp } } : spec;
}

/** Keeps a connection to a living supervisor: when it dies it is started again, and what it then knows is reported. */
class SupervisorClient {
	private connection: SupervisorConnection | undefined;
	private connecting: Promise<SupervisorConnection> | undefined;
	private child: number | undefined;
	private closed = false;
	/** The connection that `close` ended: not lost. */
	private dismissed: SupervisorConnection | undefined;
	private onExit: (exit: ProcessExit) => void = () => {};
	/** Exits told to the engine and not yet released; none is told twice. */
	private readonly told = new Set<string>();
	private readonly held = new HeldProcesses();

	constructor(
		private readonly options: RuntimeDriverOptions,
		private readonly paths: RuntimePaths,
	) {}

	async open(onExit: (exit: ProcessExit) => void): Promise<void> {
		mkdirSync(this.paths.root, { recursive: true, mode: 0o700 });
		this.closed = false;
		this.onExit = onExit;
		const connection = await this.connected();
		// What ended before is read from list() by the engine, not told.
		for (const { processId, exit, pid, terminal } of await connection.call("list", {})) {
			if (exit) this.told.add(processId);
			else this.hold(processId, pid, terminal);
		}
	}

	close(): void {
		this.closed = true;
		this.dismissed = this.connection;
		this.connection?.close();
		this.connection = undefined;
		this.held.close();
	}

	/** What it started is held until its exit is told. */
	async holding(processId: string, start: Promise<StartedProcess & TerminalFd>): Promise<StartedProcess> {
		const { terminal, ...started } = await start;
		this.hold(processId, started.pid, terminal);
		return started;
	}

	async call<Name extends OperationName>(
		name: Name,
		input: Operations[Name]["input"],
	): Promise<Operations[Name]["output"]> {
		for (let tries = 1; ; tries++) {
			const connection = await this.alive();
			try {
				return await connection.call(name, input);
			} catch (error) {
				if (connection.alive || this.closed || tries >= TRIES || !REPEATABLE.has(name)) throw error;
			}
		}
	}

	async attach(greeting: Parameters<typeof connectAttach>[1]) {
		await this.alive();
		return connectAttach(this.paths.socket, greeting);
	}

	/** A new process may come under this id. */
	forget(processId: string): void {
		this.told.delete(processId);
		this.held.release(processId);
	}

	private hold(processId: string, pid: number, fd: number | undefined): void {
		if (this.told.has(processId)) return;
		this.held.hold(processId, pid, fd === undefined ? undefined : { pid: this.supervisorPid(), fd });
	}

	private supervisorPid(): number {
		return Number(readFileSync(this.paths.pid, "utf8").split(" ")[0]);
	}

	private async alive(): Promise<SupervisorConnection> {
		return this.connection?.alive ? this.connection : this.connected();
	}

	private connected(): Promise<SupervisorConnection> {
		this.connecting ??= this.connect().finally(() => {
			this.connecting = undefined;
		});
		return this.connecting;
	}

	private async connect(): Promise<SupervisorConnection> {
		const connection = await this.findOrStart();
		this.connection = connection;
		connection.closed.then(() => this.recover(connection));
		await Promise.allSettled(this.held.terminals().map((terminal) => connection.call("terminal", terminal)));
		return connection;
	}

	private async findOrStart(): Promise<SupervisorConnection> {
		const tell = (exit: ProcessExit) => this.tell(exit);
		for (let tries = 0; ; tries++) {
			try {
				return await connectSupervisor(this.paths.socket, tell);
			} catch (error) {
				if (tries >= CONNECT_TRIES)
					throw new Error(`cannot start the supervisor: see ${this.paths.log}`, { cause: error });
				if (tries === 0) this.spawn();
			}
			await Bun.sleep(CONNECT_WAIT_MS);
		}
	}

	private spawn(): void {
		const { selfExe, runRoot, instance } = this.options;
		const out = openSync(this.paths.log, "a", 0o600);
		const none = openSync("/dev/null", "r");
		try {
			if (this.child !== undefined) reapChild(this.child);
			this.child = spawnProcess({
				file: selfExe[0],
				argv: [...selfExe, "--run-root", runRoot, "--instance", instance],
				env: Object.entries(process.env).map(([name, value]) => `${name}=${value ?? ""}`),
				stdio: [none, out, out],
				session: true,
			});
		} finally {
			closeSync(out);
			closeSync(none);
		}
	}

	private async recover(lost: SupervisorConnection): Promise<void> {
		if (this.closed || lost === this.dismissed) return;
		this.options.log.error("the supervisor has ended: starting it again", { log: this.paths.log });
		try {
			await Bun.sleep(RESPAWN_WAIT_MS);
			const connection = await this.alive();
			for (const { exit } of await connection.call("list", {})) if (exit) this.tell(exit);
		} catch (error) {
			this.options.log.error("cannot reach the supervisor", { error: messageOf(error) });
		}
	}

	private tell(exit: ProcessExit): void {
		if (this.told.has(exit.processId)) return;
		this.told.add(exit.processId);
		const learnt = this.held.release(exit.processId);
		this.onExit(exit.exitCode === UNKNOWN_EXIT && learnt !== undefined ? { ...exit, exitCode: learnt } : exit);
	}
}
