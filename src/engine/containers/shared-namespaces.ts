import { EngineError, messageOf } from "../../shared/errors.ts";
import { type Context, containerDir, find, isRunning } from "./context.ts";
import type { ContainerRecord } from "./record.ts";

const PREFIX = "container:";

/** At create: `container:NAME` as it is stored, `container:ID`; another mode as it is. "invalid" when there is none: for the CLI "not found" is the image. */
export function storedMode(context: Pick<Context, "store">, mode: string): string {
	if (!mode.startsWith(PREFIX)) return mode;
	if (mode === PREFIX) {
		throw new EngineError("invalid", 'failed to join IPC namespace: invalid name or ID supplied: ""');
	}
	try {
		return PREFIX + find(context, mode.slice(PREFIX.length)).id;
	} catch (cause) {
		throw new EngineError("invalid", messageOf(cause), { cause });
	}
}

/** At a start: the first process of the container whose namespace is joined; undefined for another mode. "conflict" when it does not run. */
export function joinedPid(context: Pick<Context, "store">, mode: string, kind: "PID" | "IPC"): number | undefined {
	if (!mode.startsWith(PREFIX)) return undefined;
	const { id, state } = find(context, mode.slice(PREFIX.length));
	if (isRunning(state)) return state.pid;
	const why = state.status === "restarting" ? "is restarting" : "is not running";
	throw new EngineError("conflict", `failed to join ${kind} namespace: container ${id} ${why}`);
}

/** Where the /dev/shm of a container lies that shares it. */
function sharedMemory(context: Pick<Context, "dataRoot">, id: string): string {
	return `${containerDir(context, id)}/mounts/shm`;
}

/** At a start: the directory to bind on /dev/shm, made for a container that shares it; undefined: it has a private one, or none, or the host's. */
export function openSharedMemory(
	context: Pick<Context, "store" | "dataRoot" | "stage">,
	{ id, hostConfig }: ContainerRecord,
): string | undefined {
	const { IpcMode, ShmSize } = hostConfig;
	if (IpcMode === "shareable") {
		const directory = sharedMemory(context, id);
		context.stage.mountShared(directory, ShmSize);
		return directory;
	}
	return IpcMode.startsWith(PREFIX) ? memoryOf(context, IpcMode) : undefined;
}

/** That of the container named in the mode, which may itself have another one's. "conflict" when it is not shared. */
function memoryOf(context: Pick<Context, "store" | "dataRoot">, mode: string): string {
	const { id, hostConfig } = find(context, mode.slice(PREFIX.length));
	if (hostConfig.IpcMode === "shareable") return sharedMemory(context, id);
	if (hostConfig.IpcMode.startsWith(PREFIX)) return memoryOf(context, hostConfig.IpcMode);
	const hint = "(hint: use IpcMode:shareable for the donor container)";
	throw new EngineError("conflict", `failed to join IPC namespace: container ${id}: non-shareable IPC ${hint}`);
}

/** After its end. */
export function closeSharedMemory(context: Pick<Context, "store" | "dataRoot" | "stage">, id: string): void {
	if (context.store.get(id)?.hostConfig.IpcMode === "shareable") context.stage.unmountShared(sharedMemory(context, id));
}
