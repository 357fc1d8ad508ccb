import { rmSync } from "node:fs";
import type { ImageRunConfig } from "../../oci/image.ts";
import { EngineError } from "../../shared/errors.ts";
import { createId } from "../../shared/id.ts";
import { nowNano } from "../../shared/time.ts";
import { parsePlatform, requirePlatform } from "../images/platform.ts";
import { availableNames } from "./capabilities.ts";
import type { ContainerConfig } from "./config.ts";
import { type Context, containerDir, find, publish } from "./context.ts";
import type { CreateRequest } from "./contract.ts";
import { warningsOf, withDefaults } from "./defaults.ts";
import { mergeEnv } from "./env.ts";
import { defaultHostname, diskError, makeDir } from "./files.ts";
import { mergeHealthcheck } from "./health.ts";
import { findInit } from "./init.ts";
import { validateKernelLimits, WHOLE_KERNEL, withinKernel } from "./kernel-limits.ts";
import { validateLinks } from "./links.ts";
import { mountPoints } from "./mounts/points.ts";
import { cleanPath } from "./mounts/target.ts";
import { anonymousNames, holdVolumes, populateVolumes } from "./mounts/volumes.ts";
import { checkName, generateName } from "./names.ts";
import { networkModeFor, networksFor, sharedWith } from "./networking.ts";
import type { ContainerRecord } from "./record.ts";
import { storedMode } from "./shared-namespaces.ts";
import { validate, validateShared } from "./validate.ts";

/** Contract: Containers.create. The record comes before the snapshot: a daemon that dies in between finds it and makes the snapshot. */
export async function create(context: Context, request: CreateRequest): Promise<{ id: string; warnings: string[] }> {
	const image = context.images.resolve(request.config.Image);
	if (request.platform) requirePlatform(image, request.config.Image, parsePlatform(request.platform));
	const id = createId();
	validateShared(request.config, request.hostConfig);
	const NetworkMode = networkModeFor(context, request.hostConfig.NetworkMode);
	const config = mergeImage(request.config, image.config.config ?? {}, id, hostOf(context, NetworkMode));
	const command = [...(config.Entrypoint ?? []), ...(config.Cmd ?? [])];
	const [path, ...args] = command;
	if (path === undefined) throw new EngineError("invalid", "no command specified");
	validate(config, request.hostConfig, availableNames(context.capabilities));
	const kernel = context.kernel ?? WHOLE_KERNEL;
	validateKernelLimits(request.hostConfig, kernel);
	validateRuntime(context, request.hostConfig);
	const { host, warnings: discarded } = withinKernel(request.hostConfig, kernel);
	if (request.hostConfig.Init) findInit(context);
	const links = validateLinks(context, NetworkMode, request.hostConfig.Links ?? []);
	const networks = networksFor(context, NetworkMode, request.networks ?? []);
	const name = request.name ? checkName(context, request.name) : generateName(context);
	const record: ContainerRecord = {
		id,
		name,
		created: nowNano(),
		imageId: image.id,
		imageChain: image.chain,
		path,
		args,
		config,
		hostConfig: withDefaults(
			{
				...host,
				NetworkMode,
				PidMode: storedMode(context, host.PidMode),
				IpcMode: storedMode(context, host.IpcMode),
				...(host.Links && { Links: [...links] }),
			},
			context.cgroupVersion,
			context.runtimes.defaultName,
		),
		...(networks && { networks }),
		state: { status: "created" },
		restartCount: 0,
		stoppedByUser: false,
		mounts: mountsOf(context, config, request),
		execIds: [],
	};
	if (request.secretEnv) context.secretEnv.set(id, request.secretEnv);
	context.reserved.set(name, id);
	try {
		await context.locks.run(id, () => persist(context, record));
	} finally {
		context.reserved.delete(name);
	}
	publish(context, record, "create");
	const images = record.mounts?.some(({ type }) => type === "image");
	const warnings = [
		...discarded,
		...warningsOf(request.hostConfig),
		...(images ? ["Image mount is an experimental feature"] : []),
	];
	return { id, warnings };
}

async function persist(context: Context, record: ContainerRecord): Promise<void> {
	const dir = containerDir(context, record.id);
	await using undo = new AsyncDisposableStack();
	try {
		context.store.put(record);
		undo.defer(() => context.store.delete(record.id));
		makeDir(dir);
		undo.defer(() => rmSync(dir, { recursive: true, force: true }));
		undo.defer(() => context.volumes.drop(record.id, anonymousNames(record)));
		await holdVolumes(context, record);
		await context.snapshotter.prepare(record.id, record.imageChain);
		undo.defer(() => context.snapshotter.remove(record.id));
		makeWorkingDir(context, record);
		await populateVolumes(context, record);
		undo.move();
	} catch (error) {
		throw diskError(error, dir);
	}
}

/** As docker has it, the directory is there from the creation on: `docker cp` may fill it before the start. */
function makeWorkingDir({ snapshotter, makeDirectoryInRoot }: Context, { id, config }: ContainerRecord): void {
	if (config.WorkingDir === "" || config.WorkingDir === "/") return;
	const root = snapshotter.mount(id);
	try {
		makeDirectoryInRoot(root, config.WorkingDir);
	} finally {
		snapshotter.unmount(id);
	}
}

/** A container that shares another's network has its names. */
interface NamesFrom {
	readonly NetworkMode: string;
	readonly Hostname?: string;
	readonly Domainname?: string;
}

function hostOf(context: Context, NetworkMode: string): NamesFrom {
	const target = context.store.get(sharedWith(NetworkMode) ?? "");
	return {
		NetworkMode,
		...(target && { Hostname: target.config.Hostname, Domainname: target.config.Domainname }),
	};
}

function validateRuntime({ runtimes }: Context, { Runtime: name }: CreateRequest["hostConfig"]): void {
	if (name === undefined || runtimes.has(name)) return;
	throw new EngineError("invalid", `unknown or invalid runtime name: ${name}`);
}

function mountsOf(context: Context, config: ContainerConfig, { hostConfig }: CreateRequest) {
	return mountPoints(config, hostConfig, {
		container: (ref) => find(context, ref),
		image: (ref) => {
			const { id, chain } = context.images.resolve(ref);
			const top = chain.at(-1);
			return { id, chain, path: top === undefined ? "" : context.snapshotter.layerPath(top) };
		},
		volumePath: (name) => context.volumes.pathOf(name),
	});
}

/** Clean, where it is absolute; what is not is refused elsewhere. */
function cleanDirectory(path: string): string {
	return path.startsWith("/") ? cleanPath(path) : path;
}

/** docker's merge: a client's Entrypoint drops the image's Cmd; maps are united, the client's entries win. */
export function mergeImage(
	config: ContainerConfig,
	image: ImageRunConfig,
	id: string,
	host: NamesFrom,
): ContainerConfig {
	const ownEntrypoint = config.Entrypoint !== null && config.Entrypoint.length > 0;
	// An empty list takes the image's away, but not its Cmd.
	const inherited = config.Entrypoint ?? (image.Entrypoint ? [...image.Entrypoint] : null);
	// [""] is how `--entrypoint ""` clears the image's.
	const cleared = config.Entrypoint?.length === 1 && config.Entrypoint[0] === "";
	const ownCmd = config.Cmd !== null && config.Cmd.length > 0;
	const volumes = { ...image.Volumes, ...config.Volumes };
	const ports = { ...image.ExposedPorts, ...config.ExposedPorts };
	const health = mergeHealthcheck(config.Healthcheck, image.Healthcheck);
	const stopSignal = config.StopSignal || image.StopSignal;
	return {
		...config,
		Hostname: config.Hostname || host.Hostname || defaultHostname(id, host),
		Domainname: config.Domainname || host.Domainname || "",
		User: config.User || image.User || "",
		Env: mergeEnv(image.Env ?? [], config.Env),
		Entrypoint: cleared ? null : inherited,
		Cmd: ownCmd || ownEntrypoint ? config.Cmd : image.Cmd ? [...image.Cmd] : null,
		WorkingDir: cleanDirectory(config.WorkingDir || image.WorkingDir || ""),
		Labels: { ...image.Labels, ...config.Labels },
		Volumes: Object.keys(volumes).length > 0 ? volumes : null,
		...(Object.keys(ports).length > 0 && { ExposedPorts: ports }),
		...(stopSignal && { StopSignal: stopSignal }),
		...(health && { Healthcheck: health }),
	};
}
