import { posix } from "node:path";
import { digestOf } from "../../oci/digest.ts";
import { EngineError, messageOf } from "../../shared/errors.ts";
import { createId } from "../../shared/id.ts";
import { baseImage } from "./base-image.ts";
import type { Build, StageState } from "./build-state.ts";
import { ownerOf } from "./chown.ts";
import type { Source } from "./files.ts";
import type { CopyInstruction } from "./instructions.ts";
import { commentOf } from "./run-config.ts";
import { commitStep, useCache } from "./step.ts";

/** A source with the tree that it lies in; undefined: the build's context. */
interface Found extends Source {
	readonly root: string | undefined;
	/** Of a URL: never unpacked. */
	readonly remote?: boolean;
}

/** COPY and ADD. What is copied, by its content, decides about the cache. */
export async function copyStep(build: Build, state: StageState, copy: CopyInstruction): Promise<void> {
	const found = await findAll(build, copy);
	if (found.length > 1 && !copy.destination.endsWith("/")) {
		throw new EngineError(
			"invalid",
			`When using ${copy.do} with more than one source file, the destination must be a directory and end with a /`,
		);
	}
	const chown = copy.chown === undefined ? "" : `--chown=${copy.chown} `;
	const comment = `${copy.do} ${chown}${hashOf(found)} in ${copy.destination} `;
	const command = commentOf(state.run, comment, true);
	if (await useCache(build, state, command)) return;
	await withFiles(build, state, async (root, snapshotId) => {
		await copyAll(build, state, copy, found, root);
		await commitStep(build, state, command, { layer: build.parts.snapshotter.archiveChanges(snapshotId) });
	});
}

/** Mounts what the stage has so far, for `work` to write to. */
export async function withFiles(
	build: Build,
	state: StageState,
	work: (root: string, snapshotId: string) => Promise<void>,
): Promise<void> {
	const { snapshotter } = build.parts;
	const id = `build-${createId().slice(0, 32)}`;
	await snapshotter.prepare(id, state.image?.chain ?? []);
	try {
		await work(snapshotter.mount(id), id);
	} finally {
		await snapshotter.remove(id);
	}
}

async function copyAll(
	build: Build,
	{ run }: StageState,
	copy: CopyInstruction,
	found: readonly Found[],
	to: string,
): Promise<void> {
	const owner = copy.chown !== undefined ? ownerOf(copy.chown, (path) => build.parts.files.read(to, path)) : ROOT;
	const destination = absolute(run.WorkingDir ?? "/", copy.destination);
	for (const { root, path, remote } of found) {
		try {
			await build.parts.files.copy({
				root: root ?? (await build.context.root()),
				path,
				to,
				destination,
				owner: copy.from !== undefined && copy.chown === undefined ? undefined : owner,
				extract: copy.do === "ADD" && !remote,
			});
		} catch (cause) {
			throw new EngineError("invalid", `failed to copy files: ${worded(cause)}`, { cause });
		}
	}
}

const ROOT = { uid: 0, gid: 0 };

/** Relative ones count from the working directory; a slash at the end says something. */
function absolute(workingDir: string, destination: string): string {
	const path = posix.resolve("/", workingDir, destination);
	return destination.endsWith("/") && path !== "/" ? `${path}/` : path;
}

async function findAll(build: Build, copy: CopyInstruction): Promise<Found[]> {
	const root = copy.from === undefined ? undefined : await fromRoot(build, copy.from);
	const found: Found[] = [];
	for (const source of copy.sources) {
		if (isUrl(source) && copy.do === "ADD") found.push(await fetchSource(build, copy, source));
		else if (isUrl(source)) throw failed(copy, "source can't be a URL for COPY");
		else found.push(...(await findLocal(build, copy, root, source)));
	}
	if (found.length === 0) throw failed(copy, "no source files were specified");
	return found;
}

async function findLocal(
	build: Build,
	copy: CopyInstruction,
	root: string | undefined,
	source: string,
): Promise<Found[]> {
	const clean = posix.normalize(source);
	if (copy.from === undefined && (clean === ".." || clean.startsWith("../"))) {
		throw failed(copy, `forbidden path outside the build context: ${source} ()`);
	}
	const path = posix.normalize(`/${source}`).replace(/^\/+/, "").replace(/\/+$/, "");
	try {
		const found = root === undefined ? await build.context.find(path) : await build.parts.files.find(root, path);
		return found.map((one) => ({ ...one, root }));
	} catch (cause) {
		if (!isMissing(cause)) throw failed(copy, worded(cause), cause);
		const why = `stat ${path}: file does not exist`;
		const where = "file not found in build context or excluded by .dockerignore: ";
		throw failed(copy, copy.from === undefined ? where + why : why, cause);
	}
}

/** The files of a stage or an image, mounted once for the build. */
async function fromRoot(build: Build, from: string): Promise<string> {
	const { snapshotter } = build.parts;
	const image = await stageOrImage(build, from);
	const known = build.mounted.get(image.id);
	if (known !== undefined) return known;
	const id = `build-${createId().slice(0, 32)}`;
	await snapshotter.prepare(id, image.chain);
	build.cleanup.defer(() => snapshotter.remove(id));
	const root = snapshotter.mount(id);
	build.mounted.set(image.id, root);
	return root;
}

async function stageOrImage(build: Build, from: string) {
	try {
		const stage = /^\d+$/.test(from)
			? build.stages[Number(from)]
			: build.stages.find(({ name }) => name !== "" && name === from.toLowerCase());
		if (!stage && /^\d+$/.test(from)) throw new EngineError("invalid", "index out of bounds");
		if (!stage) return await baseImage(build, from, undefined);
		if (stage.imageId === undefined) throw new EngineError("invalid", "the stage has no files");
		return build.parts.images.resolve(stage.imageId);
	} catch (cause) {
		throw new EngineError("invalid", `invalid from flag value ${from}: ${messageOf(cause)}`, { cause });
	}
}

/** ADD of a URL: a file of mode 0600, with the time that the server says. */
async function fetchSource(build: Build, copy: CopyInstruction, url: string): Promise<Found> {
	const name = posix.basename(new URL(url).pathname);
	if (name === "" && copy.destination.endsWith("/")) {
		throw failed(copy, `cannot determine filename for source ${url}`);
	}
	const { files, openUrl, directory } = build.parts;
	const root = `${directory}/${createId()}`;
	build.cleanup.defer(() => void files.discard(root));
	try {
		const { body, lastModified } = await openUrl(url, build.signal);
		// Without a time of the server's the content alone decides.
		await files.write(root, name || "file", body, lastModified ?? new Date(0));
	} catch (cause) {
		throw failed(copy, messageOf(cause), cause);
	}
	await build.output.text("\n");
	const [source] = await files.find(root, name || "file");
	return { path: name || "file", hash: source?.hash ?? "", root, remote: true };
}

function isUrl(source: string): boolean {
	return /^https?:\/\//.test(source) && URL.canParse(source);
}

/** One source stands for itself, several for all. */
function hashOf(found: readonly Found[]): string {
	const [first] = found;
	if (found.length === 1 && first) return first.hash;
	return `multi:${digestOf(found.map(({ hash }) => hash).join(",")).slice("sha256:".length)}`;
}

function failed(copy: CopyInstruction, why: string, cause?: unknown): EngineError {
	return new EngineError("invalid", `${copy.do} failed: ${why}`, { cause });
}

function isMissing(error: unknown): boolean {
	const code = (error as { code?: unknown }).code;
	return code === "ENOENT" || code === "ENOTDIR" || code === "ELOOP";
}

const PHRASES: Readonly<Record<string, string>> = {
	ENOTDIR: "not a directory",
	EEXIST: "file exists",
	ENOSPC: "no space left on device",
	ENAMETOOLONG: "file name too long",
	ELOOP: "too many levels of symbolic links",
};

/** The kernel's refusal in words. */
function worded(error: unknown): string {
	const code = (error as { code?: unknown }).code;
	const phrase = typeof code === "string" ? PHRASES[code] : undefined;
	const text = messageOf(error);
	return phrase ? `${text.replace(/: [A-Z]+$/, "").replace(/^openat2 /, "open ")}: ${phrase}` : text;
}
