import { EngineError } from "../../shared/errors.ts";
import { createId } from "../../shared/id.ts";
import type { BuildContext } from "./context.ts";
import type { BuildKitOptions, BuildStep, SyncRequest, TreeReceiver } from "./contract.ts";
import type { BuildFiles } from "./files.ts";
import { shown } from "./progress.ts";
import type { LeasedTree, SyncedTrees } from "./synced-trees.ts";

const DOCKERFILE = "Dockerfile";
const STATUS_EVERY_MS = 150;

/** What is needed to sync directories of one client for one build. */
export interface LocalParts {
	readonly files: BuildFiles;
	readonly trees: SyncedTrees;
	readonly buildKit: BuildKitOptions;
	readonly signal: AbortSignal;
	/** Ends with the build. */
	readonly cleanup: AsyncDisposableStack;
}

/** The Dockerfile of a client's directory, and an ignore file that is the Dockerfile's own, which counts in place of the context's. */
export async function readLocalDockerfile(
	parts: LocalParts,
	directory: string,
	asked: string,
): Promise<{ readonly text: string; readonly ignore: string | undefined }> {
	const name = asked || DOCKERFILE;
	return await shown(parts.buildKit.progress, `[internal] load build definition from ${name}`, async (step) => {
		const follow = [name, `${name}.dockerignore`, ...(name === DOCKERFILE ? [DOCKERFILE.toLowerCase()] : [])];
		const { directory: root } = await syncInto(
			parts,
			{ name: directory, include: [], exclude: [], follow },
			"transferring dockerfile:",
			step,
		);
		const text =
			parts.files.read(root, name) ?? (name === DOCKERFILE ? parts.files.read(root, name.toLowerCase()) : undefined);
		if (text === undefined) {
			throw new EngineError("invalid", `failed to read dockerfile: open ${name}: no such file or directory`);
		}
		if (text.trim() === "") throw new EngineError("invalid", "file with no instructions");
		return { text, ignore: parts.files.read(root, `${name}.dockerignore`) };
	});
}

/** The context in a client's directory; it is synced when its files are first needed. `ignore` undefined: its own ignore file counts. */
export async function localContext(parts: LocalParts, name: string, ignore: string | undefined): Promise<BuildContext> {
	const text = ignore ?? (await readIgnoreFile(parts, name));
	const exclude = patternsOf(text ?? "");
	let follow: readonly string[] = [];
	let opened: Promise<Synced> | undefined;
	const open = () => {
		opened ??= shown(parts.buildKit.progress, "[internal] load build context", (step) =>
			syncInto(parts, { name, include: [], exclude, follow }, "transferring context:", step),
		);
		return opened;
	};
	return {
		root: async () => (await open()).directory,
		async find(pattern, without = []) {
			const { directory, sources } = await open();
			const key = JSON.stringify([pattern, without]);
			const found = sources.get(key) ?? (await parts.files.find(directory, pattern, without));
			sources.set(key, found);
			return found;
		},
		follow: (paths) => {
			if (paths.join("\n") === follow.join("\n")) return;
			follow = paths;
			opened = undefined;
		},
	};
}

async function readIgnoreFile(parts: LocalParts, name: string): Promise<string | undefined> {
	return await shown(parts.buildKit.progress, "[internal] load .dockerignore", async (step) => {
		const request = { name, include: [], exclude: [], follow: [".dockerignore"] };
		const { directory: root } = await syncInto(parts, request, "transferring context:", step);
		return parts.files.read(root, ".dockerignore");
	});
}

/** Lines of an ignore file, as patterns that the client understands. */
function patternsOf(ignore: string): string[] {
	return ignore
		.replace(/^\uFEFF/, "")
		.split("\n")
		.filter((line) => !line.startsWith("#"))
		.map((line) => line.trim())
		.filter((line) => line !== "")
		.map((line) => line.replace(/^(!?)\s*\/+(?=.)/, "$1"));
}

/** Where the copy of a client's directory is, and what has been learnt of its files since they last changed. */
type Synced = Pick<LeasedTree, "directory" | "sources">;

/** Brings a directory of the client up to date; where its copy is, until the build ends. */
async function syncInto(
	{ trees, buildKit, signal, cleanup }: LocalParts,
	request: Omit<SyncRequest, "signal">,
	label: string,
	step: BuildStep,
): Promise<Synced> {
	const key = [buildKit.sharedKey || createId(), request.name, ...request.follow].join("\n");
	const lease = cleanup.use(trees.lease(key, request.name));
	using reception = lease.tree.receive();
	let size = 0;
	let told = 0;
	const count = (bytes: number) => {
		size += bytes;
		if (Date.now() - told < STATUS_EVERY_MS) return;
		told = Date.now();
		step.status(label, { current: size });
	};
	const receiver: TreeReceiver = {
		entry: (entry) => {
			count(ENTRY_BYTES + entry.path.length);
			return reception.entry(entry);
		},
		content: (path, bytes) => {
			count(bytes.length);
			reception.content(path, bytes);
		},
	};
	try {
		await buildKit.client.sync({ ...request, signal }, receiver);
		if (reception.complete()) lease.sources.clear();
	} catch (error) {
		// What has come has changed the tree, and the next sync finds it as it should be.
		lease.sources.clear();
		throw error;
	}
	step.status(label, { current: size, done: true });
	return lease;
}

/** About what an entry takes on the wire, for the progress. */
const ENTRY_BYTES = 24;
