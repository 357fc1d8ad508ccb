import { posix } from "node:path";
import { EngineError, messageOf } from "../../shared/errors.ts";
import { createId } from "../../shared/id.ts";
import type { MountRequest } from "../containers/config.ts";
import type { Build, StageState } from "./build-state.ts";
import type { LeasedCache } from "./cache-mounts.ts";
import { imageFrom, mountForReading, rootFrom } from "./from.ts";
import { contentOf, type Heredoc } from "./heredocs.ts";
import type { RunMount } from "./run-mount.ts";

/** What a command of RUN sees beside its image. Disposal takes it away again. */
export interface RunMounts extends Disposable {
	readonly mounts: readonly MountRequest[];
	/** `NAME=value`: secrets and the agent's socket. */
	readonly env: readonly string[];
}

/** Says what the mounts bring, for the cache: of what is bound its content, of the others what they are. */
export async function keyOfMounts(build: Build, mounts: readonly RunMount[]): Promise<string> {
	const keys = mounts.map(async (mount) => {
		const { type, target, id, source, readonly, env, size, from } = mount;
		const what = [type, target, id, readonly, env ?? "", size];
		if (type === "cache" && from !== undefined) return [...what, source, (await imageFrom(build, from))?.id];
		return type === "bind" ? [...what, await digestOfBind(build, mount)] : what;
	});
	return JSON.stringify(await Promise.all(keys));
}

async function digestOfBind(build: Build, { from, source }: RunMount): Promise<string> {
	const path = insideOf(source);
	const literal = path.replace(/[\\*?[]/g, "\\$&");
	try {
		if (from === undefined) return (await build.context.find(literal))[0]?.hash ?? "";
		const image = path === "" ? await imageFrom(build, from) : undefined;
		if (image) return image.id;
		return (await build.parts.files.find(await rootFrom(build, from), literal))[0]?.hash ?? "";
	} catch (cause) {
		throw missing(source, cause);
	}
}

function missing(source: string, cause: unknown): EngineError {
	const code = (cause as { code?: unknown }).code;
	if (code !== "ENOENT" && code !== "ENOTDIR") throw cause;
	const why = `failed to compute cache key: failed to calculate checksum of ref: ${JSON.stringify(`/${insideOf(source)}`)}: not found`;
	return new EngineError("invalid", why, { cause });
}

/** Makes the mounts ready. Throws in BuildKit's words for what is not there. */
export async function prepareMounts(
	build: Build,
	state: StageState,
	asked: readonly RunMount[],
	command: string,
): Promise<RunMounts> {
	const stack = new DisposableStack();
	const id = `run-${createId().slice(0, 32)}`;
	stack.defer(() => build.parts.mounts.release(id));
	const made: Made = { build, state, id, stack, command, mounts: [], env: [], caches: new Map(), agents: 0 };
	try {
		// Locks are taken in one order, so that two commands cannot wait for each other.
		const order = (mount: RunMount) => JSON.stringify([mount.id || targetOf(made, mount), ...baseOf(mount)]);
		const caches = asked.filter(({ type }) => type === "cache").sort((a, b) => (order(a) < order(b) ? -1 : 1));
		for (const one of [...caches, ...asked.filter(({ type }) => type !== "cache")]) await addMount(made, one);
	} catch (error) {
		stack.dispose();
		throw error;
	}
	return { mounts: made.mounts, env: made.env, [Symbol.dispose]: () => stack.dispose() };
}

/** `/dev/pipes/NAME`: a here-document that is a script. */
export async function scriptMount(build: Build, heredoc: Heredoc): Promise<MountRequest> {
	const { files, directory } = build.parts;
	const root = `${directory}/${createId()}`;
	build.cleanup.defer(() => void files.discard(root));
	const name = posix.basename(heredoc.name);
	const body = async function* () {
		yield Buffer.from(contentOf(heredoc));
	};
	await files.write(root, name, body());
	await files.copy({ root, path: name, to: root, destination: "/script", owner: ROOT, chmod: "755", extract: false });
	return { Type: "bind", Source: `${root}/script`, Target: `/dev/pipes/${name}`, ReadOnly: true };
}

const ROOT = { uid: 0, gid: 0 };

interface Made {
	readonly build: Build;
	readonly state: StageState;
	readonly id: string;
	readonly stack: DisposableStack;
	readonly command: string;
	readonly mounts: MountRequest[];
	readonly env: string[];
	/** By their identity: a command that mounts one twice would wait for itself. */
	readonly caches: Map<string, LeasedCache>;
	agents: number;
}

function addMount(made: Made, mount: RunMount): Promise<void> | void {
	switch (mount.type) {
		case "bind":
			return addBind(made, mount);
		case "cache":
			return addCache(made, mount);
		case "secret":
			return addSecret(made, mount);
		case "ssh":
			return addAgent(made, mount);
		case "tmpfs":
			made.mounts.push({
				Type: "tmpfs",
				Target: targetOf(made, mount),
				ReadOnly: mount.readonly,
				TmpfsOptions: { SizeBytes: mount.size, Options: [["exec"]] },
			});
	}
}

async function addBind(made: Made, mount: RunMount): Promise<void> {
	const { build, id } = made;
	const { mounts } = build.parts;
	const tree = await treeOf(made, mount);
	let source: string;
	try {
		source = mounts.bind(id, tree, insideOf(mount.source));
	} catch (cause) {
		throw missing(mount.source, cause);
	}
	made.mounts.push(bound(source, targetOf(made, mount), mount.readonly));
}

/** What is bound to be written to is written to a copy: nobody sees it afterwards. */
async function treeOf({ build, id }: Made, { from, readonly }: RunMount): Promise<string> {
	if (from === undefined) {
		const tree = await build.context.root();
		if (readonly) return tree;
		const scratch = `${build.parts.directory}/${createId()}`;
		build.cleanup.defer(() => void build.parts.files.discard(scratch));
		return build.parts.mounts.writable(id, tree, scratch);
	}
	const image = readonly ? undefined : await imageFrom(build, from);
	return image ? await mountForReading(build, image) : await rootFrom(build, from);
}

async function addCache(made: Made, mount: RunMount): Promise<void> {
	const target = targetOf(made, mount);
	const { directory } = await leaseCache(made, mount, target);
	made.mounts.push(bound(directory, target, mount.readonly));
}

/** What a cache is told apart by, beside its id. */
function baseOf({ from = "", source, mode = 0o755, uid = 0, gid = 0 }: RunMount) {
	return [from, insideOf(source), mode, uid, gid] as const;
}

async function leaseCache(made: Made, mount: RunMount, target: string): Promise<LeasedCache> {
	const { build, stack, caches } = made;
	const space = build.request.buildArgs.get("BUILDKIT_CACHE_MOUNT_NS");
	const name = mount.id || target;
	const id = space ? `${space}/${name}` : name;
	const image = mount.from === undefined ? undefined : await imageFrom(build, mount.from);
	const [from, source, mode, uid, gid] = baseOf(mount);
	const base = from === "" ? "" : `${image?.id ?? from} ${source}`;
	const description = `cached mount ${target} from exec ${made.command} with id ${JSON.stringify(id)}`;
	const identity = { id, base, mode, uid, gid };
	const key = JSON.stringify(identity);
	const leased = caches.get(key);
	if (leased) return leased;
	const lease = await build.parts.caches.lease(
		identity,
		mount.sharing,
		description,
		build.signal,
		async (directory) => {
			if (mount.from === undefined) return;
			await build.parts.files.copy({
				root: await rootFrom(build, mount.from),
				path: source,
				to: directory,
				destination: "/",
				extract: false,
			});
		},
	);
	caches.set(key, stack.use(lease));
	return lease;
}

async function addSecret(made: Made, mount: RunMount): Promise<void> {
	const { build, id } = made;
	const name = mount.id || mount.source || posix.basename(mount.target);
	const content = await build.request.buildKit?.client.secret(name);
	if (content === undefined) {
		if (!mount.required) return;
		throw new EngineError("invalid", `secret ${name}: not found`);
	}
	if (mount.env !== undefined) made.env.push(`${mount.env}=${Buffer.from(content).toString()}`);
	if (mount.env !== undefined && mount.target === "") return;
	const { mode = 0o400, uid = 0, gid = 0 } = mount;
	const target = mount.target === "" ? `/run/secrets/${posix.basename(name)}` : targetOf(made, mount);
	made.mounts.push(bound(build.parts.mounts.secret(id, content, { mode, uid, gid }), target, true));
}

async function addAgent(made: Made, mount: RunMount): Promise<void> {
	const { build, id } = made;
	const client = build.request.buildKit?.client;
	const name = mount.id || "default";
	try {
		if (!client) throw new EngineError("invalid", "the client forwards no agent");
		// Whether there is one is known before the command runs.
		(await client.ssh(name)).destroy();
	} catch (cause) {
		if (!mount.required) return;
		throw new EngineError("invalid", `unset ssh forward key ${name}: ${messageOf(cause)}`, { cause });
	}
	const { mode = 0o600, uid = 0, gid = 0 } = mount;
	const target = mount.target === "" ? `/run/buildkit/ssh_agent.${made.agents}` : targetOf(made, mount);
	const path = await build.parts.mounts.agent(id, () => client.ssh(name), { mode, uid, gid });
	made.mounts.push(bound(path, target, false));
	// The first is the one that programs find.
	if (made.agents++ === 0) made.env.push(`SSH_AUTH_SOCK=${target}`);
}

function bound(source: string, target: string, readonly: boolean): MountRequest {
	return { Type: "bind", Source: source, Target: target, ReadOnly: readonly };
}

function targetOf({ state }: Made, { target }: RunMount): string {
	const path = posix.resolve("/", state.run.WorkingDir ?? "/", target);
	if (path === "/") throw new EngineError("invalid", `invalid mount target ${JSON.stringify(path)}`);
	return path;
}

/** A path relative to its tree, never out of it. */
function insideOf(path: string): string {
	return posix.normalize(`/${path}`).replace(/^\/+/, "").replace(/\/+$/, "");
}
