import { readdirSync, rmSync } from "node:fs";
import { dirname } from "node:path";
import type { SpecDevice } from "../../oci/runtime-spec.ts";
import { EngineError, messageOf } from "../../shared/errors.ts";
import { ensureProfile } from "./apparmor.ts";
import { availableNames } from "./capabilities.ts";
import { bundleDir, type Context, change, containerDir, find, isRunning, publish, publishNetworks } from "./context.ts";
import { diskError, makeDir, writeFiles } from "./files.ts";
import { startingHealth } from "./health.ts";
import { findInit } from "./init.ts";
import { linkGifts } from "./links.ts";
import { logTarget } from "./log-config.ts";
import { migrateMounts } from "./mounts/migrate.ts";
import { prepareMounts, releaseMounts } from "./mounts/prepare.ts";
import { safeTargets } from "./mounts/safe-targets.ts";
import { joinNetworks, networkFilesDir } from "./networking.ts";
import type { ContainerRecord } from "./record.ts";
import { removeLocked } from "./remove.ts";
import { deviceAt, devicesOf } from "./resources.ts";
import { closeSharedMemory, joinedPid, openSharedMemory } from "./shared-namespaces.ts";
import { runtimeSpec, seccompOf } from "./spec.ts";
import { ofDirectory, startFailure } from "./start-failure.ts";
import { resolveUser } from "./user.ts";

/** Contract: Containers.start. */
export async function start(context: Context, ref: string): Promise<void> {
	const { id } = find(context, ref);
	context.restarts.cancel(id);
	await context.locks.run(id, async () => {
		const record = find(context, id);
		if (record.state.status === "paused") {
			throw new EngineError("conflict", "cannot start a paused container, try unpause instead");
		}
		if (isRunning(record.state)) throw new EngineError("not-modified", `container ${id} is already running`);
		if (record.state.status === "removing" || record.state.status === "dead") {
			throw new EngineError("conflict", "container is marked for removal and cannot be started");
		}
		await startLocked(context, { ...record, stoppedByUser: false, restartCount: 0 });
	});
}

/** Starts under the container's lock, by a client or by policy. On failure the state says why and the error is docker's. */
export async function startLocked(context: Context, record: ContainerRecord): Promise<void> {
	try {
		await launch(context, record);
	} catch (error) {
		const failure = startFailure(diskError(error, containerDir(context, record.id)), record);
		await context.runtime.release(record.id).catch(() => {});
		const ended = { exitCode: failure.exitCode, error: failure.error.message };
		const before = record.state;
		const state =
			before.status === "exited" || before.status === "restarting"
				? { ...before, ...ended, status: "exited" as const }
				: { status: "created" as const, ...ended };
		try {
			change(context, record.id, { state, network: undefined, restartCount: record.restartCount });
		} catch (cause) {
			context.log.error("state not written", { id: record.id, error: messageOf(cause) });
		}
		// As with docker, who waits for the next exit goes on waiting: the run that it would end has not begun.
		if (before.status === "restarting") context.waits.notify(record.id, "exit", ended);
		if (record.hostConfig.AutoRemove) await removeLocked(context, record.id);
		throw failure.error;
	}
}

async function launch(context: Context, asked: ContainerRecord): Promise<void> {
	// Everything that can be refused is, before anything is acquired.
	const runtime = await context.runtimes.find(asked.hostConfig.Runtime ?? context.runtimes.defaultName);
	const devices = devicesOf(asked.hostConfig);
	await ensureProfile(context.apparmor, asked.hostConfig);
	const record = await migrateMounts(context, asked);
	const { id, config, hostConfig } = record;
	await using undo = new AsyncDisposableStack();
	const rootPath = context.snapshotter.mount(id);
	undo.defer(() => context.snapshotter.unmount(id));
	const user = resolveUser(config.User, hostConfig.GroupAdd ?? [], (path) => context.readInRoot(rootPath, path));
	const links = linkGifts(context, record);
	const network = await joinNetworks(context, record);
	undo.defer(async () => {
		await context.sandboxes.leave(id);
		// docker tells this of a start that fails, though nobody was told of the connect; the host's network is not left
		if (hostConfig.NetworkMode !== "host") publishNetworks(context, { ...record, network }, "disconnect");
	});
	const directory = networkFilesDir(context, record);
	if (directory === containerDir(context, id)) writeFiles(context, record, network, links.hosts);
	undo.defer(() => releaseMounts(context, id));
	const mounts = safeTargets(rootPath, await prepareMounts(context, record));
	undo.defer(() => closeSharedMemory(context, id));
	const joinedIpc = joinedPid(context, hostConfig.IpcMode, "IPC");
	const shmPath = openSharedMemory(context, record);
	const bundle = bundleDir(context, id);
	makeDir(bundle, 0o700);
	undo.defer(() => rmSync(bundle, { recursive: true, force: true }));
	const spec = runtimeSpec(
		{ ...record, config: { ...config, Env: [...links.env, ...config.Env, ...(context.secretEnv.get(id) ?? [])] } },
		{
			rootPath,
			directory,
			instance: context.instance,
			cgroupVersion: context.cgroupVersion,
			user,
			sandboxPath: network.sandboxPath,
			mounts,
			devices,
			hostDevices: hostConfig.Privileged ? hostDevices("/dev") : [],
			joinedPid: joinedPid(context, hostConfig.PidMode, "PID"),
			joinedIpc,
			shmPath,
			initPath: hostConfig.Init && hostConfig.PidMode === "" ? findInit(context) : undefined,
			apparmorProfile: context.apparmor?.profile,
			capabilities: availableNames(context.capabilities),
		},
	);
	const seccomp = seccompOf(record, availableNames(context.capabilities));
	const request = { containerId: id, runtime, bundle, spec, seccomp, io: ioOf(context, record) };
	const { pid, startedAt } = await context.runtime.start(request).catch((error) => {
		throw ofDirectory(error, record.path, config.WorkingDir, (path) => context.isDirectoryInRoot(rootPath, path));
	});
	undo.defer(() => context.runtime.release(id));
	// The container has its own mounts of them now.
	context.stage.release(id);
	const started = change(context, id, {
		state: {
			status: "running",
			pid,
			startedAt,
			...(record.state.finishedAt && { finishedAt: record.state.finishedAt }),
		},
		network,
		stoppedByUser: false,
		restartCount: record.restartCount,
		health: startingHealth(record),
	});
	undo.move();
	context.followHealth(id);
	publishNetworks(context, { ...record, network }, "connect");
	publish(context, started ?? record, "start");
}

function ioOf(context: Context, record: ContainerRecord) {
	const { config } = record;
	const log = logTarget(context, record);
	if (log?.path) makeDir(dirname(log.path), 0o700);
	return { tty: config.Tty, stdin: config.OpenStdin, stdinOnce: config.StdinOnce, log };
}

const OWN_DEVICES = ["/dev/pts", "/dev/shm", "/dev/mqueue", "/dev/fd", "/dev/console", "/dev/ptmx", "/dev/.lxc"];

/** Nodes for --privileged, as moby's HostDevices: all of /dev but what the container has of its own. */
function hostDevices(dir: string): SpecDevice[] {
	return readdirSync(dir, { withFileTypes: true }).flatMap((entry) => {
		const path = `${dir}/${entry.name}`;
		if (OWN_DEVICES.includes(path)) return [];
		if (entry.isDirectory()) return hostDevices(path);
		if (!entry.isCharacterDevice() && !entry.isBlockDevice()) return [];
		try {
			return [deviceAt(path, path)];
		} catch {
			return []; // gone since the listing
		}
	});
}
