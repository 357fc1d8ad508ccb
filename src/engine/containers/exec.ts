import { Duplex } from "node:stream";
import type { ObservedProcess, ProcessExit } from "../../drivers/runtime/driver.ts";
import type { SpecProcess } from "../../oci/runtime-spec.ts";
import { EngineError, messageOf } from "../../shared/errors.ts";
import { createId } from "../../shared/id.ts";
import { frame, STDOUT } from "../../shared/stdcopy.ts";
import { whenEnded } from "../../shared/stream-end.ts";
import { ensureProfile, specProfile } from "./apparmor.ts";
import { availableNames, capabilitiesOf } from "./capabilities.ts";
import { type Context, find, publish } from "./context.ts";
import type { ExecConfig, ExecRecord, Execs } from "./contract.ts";
import { mergeEnv, processEnv } from "./env.ts";
import { createExecNotes, type ExecNotes } from "./exec-notes.ts";
import type { ContainerRecord } from "./record.ts";
import { parseSecurityOpt } from "./security.ts";
import { specCapabilities, specLimits, specUser } from "./spec.ts";
import { execFailure, ofDirectory, runtimeRefusal } from "./start-failure.ts";
import { notRunning } from "./stop.ts";
import { resolveUser } from "./user.ts";

const SIGKILL = 9;
/** Milliseconds after the end of its streams in which an exec's exit is told. */
const UNHEARD_MS = 1000;
/** Milliseconds that an ended exec can still be inspected. */
const KEPT = 5 * 60_000;

export interface ExecService extends Execs {
	onExit(exit: ProcessExit): void;
	/** Execs of an earlier daemon: those that run are known again, and those that ended meanwhile are as if they just had. */
	restore(processes: readonly ObservedProcess[]): void;
	/** The container has ended, and all its execs with it. */
	containerEnded(containerId: string): void;
	close(): void;
}

type StartOptions = Parameters<Execs["start"]>[1];

/**
 * Execs live in memory: they end with their container. What the next daemon needs of those that run, the runtime driver keeps, and of those that
 * are not started yet, their notes.
 */
export function createExecs(context: () => Context): ExecService {
	const records = new Map<string, ExecRecord>();
	let notesMade: ExecNotes | undefined;
	const notes = () => {
		notesMade ??= createExecNotes(`${context().runRoot}/execs`);
		return notesMade;
	};
	const timers = new Set<ReturnType<typeof setTimeout>>();
	/** Of execs that somebody is attached to. */
	const endings = new Map<string, PromiseWithResolvers<void>>();

	const get = (id: string): ExecRecord => {
		const record = records.get(id);
		if (!record) throw new EngineError("not-found", `No such exec instance: ${id}`);
		return record;
	};

	const setIds = (containerId: string, edit: (ids: readonly string[]) => string[]) => {
		const container = context().store.get(containerId);
		if (container) context().store.show({ ...container, execIds: edit(container.execIds) });
	};

	const ended = (record: ExecRecord, exitCode: number) => {
		if (record.state.status === "exited") return;
		if (record.state.status === "created") notes().drop(record.id);
		const pid = record.state.status === "running" ? record.state.pid : 0;
		records.set(record.id, { ...record, state: { status: "exited", exitCode, pid } });
		setIds(record.containerId, (ids) => ids.filter((id) => id !== record.id));
		endings.get(record.id)?.resolve();
		endings.delete(record.id);
		const timer = setTimeout(() => {
			timers.delete(timer);
			records.delete(record.id);
		}, KEPT);
		timer.unref();
		timers.add(timer);
	};

	const run = async (id: string, options: StartOptions): Promise<void> => {
		const record = get(id);
		const container = running(context(), record.containerId);
		const { config } = record;
		const tty = config.Tty;
		const size = options.consoleSize ?? config.ConsoleSize;
		publish(context(), container, `exec_start: ${commandOf(config)}`, { execID: id });
		await ensureProfile(context().apparmor, container.hostConfig);
		const process = execProcess(context(), container, config, size);
		const io = { tty, stdin: config.AttachStdin, stdinOnce: true };
		const request = { containerId: container.id, execId: id, process, io, note: config };
		const { pid } = await context()
			.runtime.exec(request)
			.catch((error) => {
				const { isDirectoryInRoot, snapshotter } = context();
				const isDirectory = (path: string) => isDirectoryInRoot(snapshotter.rootOf(container.id), path);
				throw ofDirectory(error, config.Cmd[0] ?? "", process.cwd, isDirectory);
			});
		const { state } = get(id);
		// The end of a quick one may have been reported already, without its pid.
		if (state.status === "exited") return void records.set(id, { ...record, state: { ...state, pid } });
		records.set(id, { ...record, state: { status: "running", pid } });
		notes().drop(id);
	};

	/** One start each, and docker's exit code when it cannot be. */
	const claimed = new Set<string>();
	const attempt = async <T>(id: string, work: () => Promise<T>): Promise<T> => {
		const record = get(id);
		if (record.state.status !== "created" || claimed.has(id)) {
			const state = record.state.status === "exited" ? "has already run" : "is already running";
			throw new EngineError("conflict", `exec command ${id} ${state}`);
		}
		claimed.add(id);
		try {
			return await work();
		} catch (error) {
			const failure = execFailure(error, record.config.Cmd[0] ?? "");
			ended(get(id), failure.exitCode);
			await context()
				.runtime.release(id)
				.catch(() => {});
			throw failure.error;
		} finally {
			claimed.delete(id);
		}
	};

	return {
		create: async (ref, config) => {
			const container = running(context(), ref);
			if (config.Cmd.length === 0) throw new EngineError("invalid", "No exec command specified");
			userOf(context(), container, config);
			const id = createId();
			notes().put({ id, containerId: container.id, config });
			records.set(id, { id, containerId: container.id, config, state: { status: "created" } });
			setIds(container.id, (ids) => [...ids, id]);
			publish(context(), container, `exec_create: ${commandOf(config)}`, { execID: id });
			return { id };
		},
		start: async (id, options) => {
			const { config, containerId } = get(id);
			running(context(), containerId);
			const detached = () => {
				const container = context().store.get(containerId);
				if (container) publish(context(), container, "exec_detach", { execID: id });
			};
			const tty = config.Tty;
			let stream: Duplex | undefined;
			const ending = Promise.withResolvers<void>();
			try {
				await attempt(id, async () => {
					const streams = { stdin: config.AttachStdin, stdout: config.AttachStdout, stderr: config.AttachStderr };
					stream = await context().runtime.attach(id, streams);
					if (streams.stdout || streams.stderr)
						whenEnded(stream, () => setTimeout(() => endUnheard(context(), records.get(id)), UNHEARD_MS).unref());
					endings.set(id, ending);
					await run(id, options);
				});
				return { tty, stream: stream ?? message("", tty), detached, ended: ending.promise };
			} catch (error) {
				stream?.destroy();
				// The connection is a stream by now: docker writes the reason there, and inspect has the exit code. Compose's watch starts
				// its execs twice and lives by that.
				if (error instanceof EngineError && ["invalid", "conflict"].includes(error.code))
					return { tty, stream: message(error.message, tty), detached };
				throw error;
			}
		},
		startDetached: (id, options) => attempt(id, () => run(id, options)),
		inspect: get,
		resize: async (id, rows, columns) => {
			const record = get(id);
			if (record.state.status !== "running")
				throw new EngineError("conflict", `cannot resize: exec ${id} is not running`);
			await context().runtime.resize(id, rows, columns);
		},
		onExit: (exit) => {
			const record = records.get(exit.processId);
			if (record) {
				ended(record, exit.exitCode);
				const container = context().store.get(exit.containerId);
				const attributes = { execID: exit.processId, exitCode: String(exit.exitCode) };
				if (container) publish(context(), container, "exec_die", attributes);
			}
			context()
				.runtime.release(exit.processId)
				.catch((error) => context().log.warn("exec not released", { id: exit.processId, error: messageOf(error) }));
		},
		restore: (processes) => {
			for (const { processId: id, containerId, pid, exit, note } of processes) {
				// Of a container's first process there is none.
				if (!note) continue;
				const record: ExecRecord = { id, containerId, config: note as ExecConfig, state: { status: "running", pid } };
				records.set(id, record);
				if (exit) ended(record, exit.exitCode);
				else setIds(containerId, (ids) => [...ids, id]);
			}
			const living = new Set(processes.map(({ containerId }) => containerId));
			for (const { id, containerId, config } of notes().list()) {
				if (records.has(id) || !living.has(containerId)) {
					notes().drop(id);
					continue;
				}
				records.set(id, { id, containerId, config, state: { status: "created" } });
				setIds(containerId, (ids) => [...ids, id]);
			}
		},
		containerEnded: (containerId) => {
			for (const record of records.values()) {
				if (record.containerId === containerId) ended(record, 137);
			}
		},
		close: () => {
			for (const timer of timers) clearTimeout(timer);
		},
	};
}

/**
 * A stream ends after the exit is told. One that ended before has lost its supervisor: nobody hears the process any more, so it ends too, as with a
 * terminal that is closed, and its client is not told a success.
 */
function endUnheard({ runtime, log }: Context, record: ExecRecord | undefined): void {
	if (record?.state.status !== "running") return;
	const { id } = record;
	log.warn("exec ended, its streams were lost", { id });
	runtime.kill(id, SIGKILL).catch((error) => log.warn("exec not killed", { id, error: messageOf(error) }));
}

function running(context: Context, ref: string): ContainerRecord {
	const record = find(context, ref);
	const { id, state } = record;
	if (state.status === "paused") {
		throw new EngineError("conflict", `Container ${ref} is paused, unpause the container before exec`);
	}
	if (state.status === "restarting") {
		throw new EngineError("conflict", `Container ${ref} is restarting, wait until the container is running`);
	}
	if (state.status !== "running") throw notRunning(id);
	return record;
}

/** As docker has it in events: a blank stands behind a command without arguments. */
function commandOf({ Cmd: [command = "", ...args] }: ExecConfig): string {
	return `${command} ${args.join(" ")}`;
}

/** Who the process will be; "invalid" when the container's files do not know the name. */
function userOf(context: Context, { id, config, hostConfig }: ContainerRecord, exec: ExecConfig) {
	const root = context.snapshotter.rootOf(id);
	return resolveUser(exec.User || config.User, hostConfig.GroupAdd ?? [], (path) => context.readInRoot(root, path));
}

function execProcess(
	context: Context,
	container: ContainerRecord,
	exec: ExecConfig,
	size: ExecConfig["ConsoleSize"],
): SpecProcess {
	const { config, hostConfig } = container;
	const user = userOf(context, container, exec);
	const capabilities = capabilitiesOf(
		exec.Privileged ? { ...hostConfig, Privileged: true } : hostConfig,
		availableNames(context.capabilities),
	);
	const [rows, columns] = size ?? [0, 0];
	const security = parseSecurityOpt(hostConfig.SecurityOpt);
	const cwd = exec.WorkingDir || config.WorkingDir || "/";
	if (!cwd.startsWith("/")) throw runtimeRefusal("Cwd must be an absolute path");
	if (exec.Env.some((entry) => entry.startsWith("="))) {
		throw runtimeRefusal("unable to start container process: invalid environment variable: name cannot be empty");
	}
	return {
		terminal: exec.Tty,
		...(exec.Tty && rows > 0 && columns > 0 && { consoleSize: { height: rows, width: columns } }),
		user: specUser(user),
		args: exec.Cmd,
		env: processEnv(mergeEnv(config.Env, exec.Env), { hostname: config.Hostname, home: user.home, tty: exec.Tty }),
		cwd,
		capabilities: specCapabilities(capabilities, user.uid),
		noNewPrivileges: security.noNewPrivileges,
		// As in docker, --privileged of an exec leaves it confined as its container is.
		...specProfile(hostConfig, context.apparmor?.profile),
		...specLimits(hostConfig),
	};
}

/** A stream that says one thing and ends; input goes nowhere. */
function message(text: string, tty: boolean): Duplex {
	const bytes = Buffer.from(`${text}\r\n`);
	const stream = new Duplex({ read: () => {}, write: (_chunk, _encoding, done) => done() });
	if (text) stream.push(tty ? bytes : frame(STDOUT, bytes));
	stream.push(null);
	return stream;
}
