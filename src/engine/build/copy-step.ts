import { posix } from "node:path";
import { digestOf } from "../../oci/digest.ts";
import { EngineError } from "../../shared/errors.ts";
import { createId } from "../../shared/id.ts";
import { parseModeChange } from "../../shared/mode-change.ts";
import type { Build, StageState } from "./build-state.ts";
import { ownerOf } from "./chown.ts";
import { type FoundSource, failed, findSources, worded } from "./copy-sources.ts";
import type { CopyInstruction } from "./instructions.ts";
import { commitStep, type StepWords, useCache, wordsOfStep } from "./step.ts";

/** COPY and ADD. What is copied, by its content, decides about the cache. */
export async function copyStep(build: Build, state: StageState, copy: CopyInstruction): Promise<void> {
	if (copy.chmod !== undefined && !parseModeChange(copy.chmod)) {
		throw failed(
			copy,
			`invalid chmod parameter: '${copy.chmod}'. it should be octal string and between 0 and 07777, or symbolic`,
		);
	}
	const found = await findSources(build, copy);
	if (found.length > 1 && !isDirectoryName(copy.destination) && !copy.parents) {
		throw new EngineError(
			"invalid",
			`When using ${copy.do} with more than one source file, the destination must be a directory and end with a /`,
		);
	}
	const words = copyWords(build, state, copy, found);
	if (await useCache(build, state, words)) return;
	await build.turns.take(() =>
		withFiles(build, state, async (root, snapshotId) => {
			const layer = await copyAll(build, state, copy, found, root, snapshotId);
			await commitStep(build, state, words, { layer });
		}),
	);
}

function copyWords(build: Build, state: StageState, copy: CopyInstruction, found: readonly FoundSource[]): StepWords {
	const { chown, chmod, destination } = copy;
	const flags = [
		...(chown === undefined ? [] : [`--chown=${chown}`]),
		...(chmod === undefined ? [] : [`--chmod=${chmod}`]),
		...(copy.parents ? ["--parents"] : []),
		...copy.exclude.map((one) => `--exclude=${one}`),
	].map((flag) => `${flag} `);
	const sources = [...copy.sources, ...copy.contents.map(({ name }) => `<<${name}`)];
	// Where each goes counts too, and whether it is unpacked.
	const places = found.map(({ above, path, isDirectory }) => [above, isDirectory ? "" : posix.basename(path)]);
	const from = copy.from === undefined ? "context" : "elsewhere";
	return wordsOfStep(build, state, `${copy.do} ${flags.join("")}${hashOf(found)} in ${destination} `, {
		buildkit: `${copy.do} ${flags.join("")}${sources.join(" ")} ${destination} # buildkit`,
		key: JSON.stringify([hashOf(found), places, copy.unpack ?? null, from, destination, state.run.WorkingDir ?? ""]),
		makesFiles: true,
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

/** Copies into the mounted root; what has changed there, as a layer. */
async function copyAll(
	build: Build,
	{ run }: StageState,
	copy: CopyInstruction,
	found: readonly FoundSource[],
	to: string,
	snapshotId: string,
): Promise<AsyncIterable<Uint8Array>> {
	const { files, snapshotter } = build.parts;
	const owner = copy.chown !== undefined ? ownerOf(copy.chown, (path) => files.read(to, path)) : ROOT;
	const base = absolute(run.WorkingDir ?? "/", copy.destination);
	for (const { root, path, kind, above } of found) {
		const chmod = copy.chmod ?? (kind === "inline" ? "644" : undefined);
		const request = {
			root: root ?? (await build.context.root()),
			path,
			to,
			destination: copy.parents ? `${posix.join(base, above)}/` : base,
			owner: copy.from !== undefined && copy.chown === undefined ? undefined : owner,
			...(chmod !== undefined && { chmod }),
			keepRights: build.request.buildKit !== undefined,
		};
		// One large source alone goes into the layer at once, without being written into the root first.
		const isDirect = found.length === 1 && copy.do === "COPY" && copy.exclude.length === 0;
		try {
			if (isDirect && files.isLarge(request.root, path)) return asCopyErrors(snapshotter.archiveCopy(request));
			const extract = copy.do === "ADD" && (copy.unpack ?? kind === "local");
			await files.copy({ ...request, exclude: copy.exclude, extract });
		} catch (cause) {
			throw notCopied(cause);
		}
	}
	return snapshotter.archiveChanges(snapshotId);
}

function notCopied(cause: unknown): EngineError {
	return new EngineError("invalid", `failed to copy files: ${worded(cause)}`, { cause });
}

async function* asCopyErrors(pieces: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
	try {
		yield* pieces;
	} catch (cause) {
		throw notCopied(cause);
	}
}

const ROOT = { uid: 0, gid: 0 };

function isDirectoryName(destination: string): boolean {
	return destination.endsWith("/") || destination === "." || destination.endsWith("/.");
}

/** Relative ones count from the working directory; a slash at the end says something. */
function absolute(workingDir: string, destination: string): string {
	const path = posix.resolve("/", workingDir, destination);
	return destination.endsWith("/") && path !== "/" ? `${path}/` : path;
}

/** One source stands for itself, several for all. */
function hashOf(found: readonly FoundSource[]): string {
	const [first] = found;
	if (found.length === 1 && first) return first.hash;
	return `multi:${digestOf(found.map(({ hash }) => hash).join(",")).slice("sha256:".length)}`;
}
