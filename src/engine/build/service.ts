import { hostPlatform, parsePlatform } from "../../oci/manifest.ts";
import { familiarString, parseTagged } from "../../oci/reference.ts";
import { EngineError, messageOf } from "../../shared/errors.ts";
import { createId, shortId } from "../../shared/id.ts";
import type { ImageRecord } from "../images/contract.ts";
import type { Build, BuildParts } from "./build-state.ts";
import { cacheUsage, pruneCache } from "./cache-usage.ts";
import { StepFailed } from "./command-failed.ts";
import { KnownContexts } from "./context.ts";
import { contextPaths } from "./context-paths.ts";
import type { BuildLine, BuildRequest, Builds, ImageFiles } from "./contract.ts";
import { parseDockerfile } from "./dockerfile.ts";
import { checkFrontendImage } from "./frontend.ts";
import type { Dockerfile, Stage } from "./instructions.ts";
import { type ContextParts, openContext, openNamed } from "./open-context.ts";
import { linesOf, type Output } from "./output.ts";
import { sweepContainers } from "./run-step.ts";
import { buildStages } from "./stages.ts";
import { SyncedTrees } from "./synced-trees.ts";
import { Turns } from "./turns.ts";

export interface BuildsEngine extends Builds {
	/** Takes away what builds of an earlier daemon left. Once, when containers are known and before any build. */
	open(): Promise<void>;
}

/** The image builder, for docker's classic API and for BuildKit's protocol. Steps are images, kept as the cache; containers of RUN are ordinary ones. */
export function createBuilds(parts: BuildParts): BuildsEngine {
	const running = new Set<Set<string>>();
	const contexts = new KnownContexts();
	const trees = new SyncedTrees(parts.files, parts.directory);
	const shared = { parts, contexts, trees };
	return {
		open: async () => {
			await sweepContainers(parts);
			parts.mounts.sweep();
			parts.caches.open();
			await parts.files.discard(parts.directory);
		},
		build: (request) => {
			const inUse = new Set<string>();
			return linesOf({ quiet: request.quiet, signal: request.signal }, async (output, signal) => {
				running.add(inUse);
				try {
					return await buildTagged(shared, request, output, signal, inUse);
				} finally {
					running.delete(inUse);
				}
			});
		},
		solve: async (request) => {
			const inUse = new Set<string>();
			running.add(inUse);
			try {
				const image = await buildImage(shared, request, NO_OUTPUT, request.signal, inUse);
				return { image, open: () => openFiles(parts, image), [Symbol.dispose]: () => void running.delete(inUse) };
			} catch (error) {
				running.delete(inUse);
				throw error;
			}
		},
		cacheUsage: () => cacheUsage(parts.caches, parts.files, trees),
		pruneCache: (request) => pruneCache(parts.caches, parts.files, request, trees),
		inUse: (imageId) => [...running].some((images) => images.has(imageId)),
	};
}

/** An image's files, mounted. */
async function openFiles({ snapshotter, files }: BuildParts, image: ImageRecord): Promise<ImageFiles> {
	const id = `build-${createId().slice(0, 32)}`;
	await snapshotter.prepare(id, image.chain, { bare: true });
	const root = await mounted(snapshotter, id);
	return {
		entries: () => files.entries(root),
		content: (path) => files.content(root, path),
		tar: () => snapshotter.archiveRoot(id),
		[Symbol.asyncDispose]: () => snapshotter.remove(id),
	};
}

async function mounted(snapshotter: BuildParts["snapshotter"], id: string): Promise<string> {
	try {
		return snapshotter.mount(id);
	} catch (error) {
		await snapshotter.remove(id);
		throw error;
	}
}

/** Steps of one build that work at once. */
const AT_ONCE = 4;

/** What builds share. */
interface Shared extends Omit<ContextParts, "cleanup"> {
	readonly parts: BuildParts;
}

async function buildImage(
	shared: Shared,
	request: BuildRequest,
	output: Output,
	signal: AbortSignal,
	inUse: Set<string>,
): Promise<ImageRecord> {
	const { parts } = shared;
	await using cleanup = new AsyncDisposableStack();
	const directory = `${parts.directory}/${createId()}`;
	cleanup.defer(() => void parts.files.discard(directory));
	const { dockerfile: text, context } = await openContext(parts, request, signal, directory, { ...shared, cleanup });
	const dockerfile = { name: request.dockerfile || "Dockerfile", text };
	const whole = await parsed(dockerfile, request);
	const file = narrowed(whole, request);
	context.follow?.(contextPaths(file.stages));
	const build: Build = {
		parts,
		request,
		output,
		signal,
		platform: request.platform === undefined ? hostPlatform() : parsePlatform(request.platform),
		escapeChar: file.escapeChar,
		context,
		stages: [],
		index: 0,
		turns: new Turns(AT_ONCE),
		containers: [],
		inUse,
		cleanup,
		mounted: new Map(),
		named: new Map(),
		openNamed: async (value) => {
			const { buildKit } = request;
			if (!buildKit) throw new EngineError("invalid", `build context ${value} needs BuildKit`);
			const local = { files: parts.files, trees: shared.trees, buildKit, signal, cleanup };
			return await openNamed(local, parts, request, value);
		},
		offered: request.cacheFrom.flatMap((name) => offeredImage(parts, name)),
		now: {},
		stageCount: whole.stages.length,
		dockerfile,
	};
	return await buildStages(build, file);
}

/** Its instructions. For clients of BuildKit's protocol an error says where it stands, and a frontend of somebody else's is refused. */
async function parsed(dockerfile: Build["dockerfile"], { buildKit }: BuildRequest): Promise<Dockerfile> {
	try {
		const file = await parseDockerfile(dockerfile.text);
		if (buildKit && file.syntax !== undefined) checkFrontendImage(file.syntax);
		return file;
	} catch (error) {
		const line = /parse error on line (\d+)/.exec(messageOf(error))?.[1];
		throw buildKit && line ? new StepFailed(error, { ...dockerfile, line: Number(line) }) : error;
	}
}

/** The classic builder's whole course: tags at the end, all of it said in lines. */
async function buildTagged(
	shared: Shared,
	request: BuildRequest,
	output: Output,
	signal: AbortSignal,
	inUse: Set<string>,
): Promise<BuildLine | undefined> {
	const tags = request.tags.map(tagOf);
	const image = await buildImage(shared, request, output, signal, inUse);
	await output.text(`Successfully built ${shortId(image.id)}\n`);
	for (const { repository, tag, shown } of tags) {
		shared.parts.images.tag(image.id, repository, tag);
		await output.text(`Successfully tagged ${shown}\n`);
	}
	return request.quiet ? { stream: `${image.id}\n` } : undefined;
}

/** A client of BuildKit's protocol is told by steps. */
const NO_OUTPUT: Output = { line: async () => {}, text: async () => {} };

/** The stages up to the target, and the labels of the client as last instructions. */
function narrowed(file: Dockerfile, { target, labels }: BuildRequest): Dockerfile {
	const stages = target === "" ? file.stages : file.stages.slice(0, targetIndex(file.stages, target) + 1);
	const pairs = Object.entries(labels).sort(([a], [b]) => (a < b ? -1 : 1));
	const last = stages.at(-1);
	if (pairs.length === 0 || !last) return { ...file, stages };
	// Their values are taken as they are.
	const quote = (value: string) => `'${value.replaceAll("'", `'"'"'`)}'`;
	const added = pairs.map(([name, value]) => ({
		do: "LABEL" as const,
		text: `LABEL ${name}=${value}`,
		line: 0,
		pairs: [{ name: quote(name), value: quote(value) }],
	}));
	return { ...file, stages: [...stages.slice(0, -1), { ...last, instructions: [...last.instructions, ...added] }] };
}

function targetIndex(stages: readonly Stage[], target: string): number {
	const named = stages.findIndex(({ name }) => name !== "" && name === target.toLowerCase());
	const index = named < 0 && /^\d{1,4}$/.test(target) ? Number(target) : named;
	if (index >= 0 && index < stages.length) return index;
	throw new EngineError("invalid", `target stage ${JSON.stringify(target)} could not be found`);
}

function tagOf(text: string): { repository: string; tag: string; shown: string } {
	const reference = parseTagged(text);
	if (reference.digest !== undefined) {
		throw new EngineError("invalid", "build tag cannot contain a digest");
	}
	const repository = familiarString({ ...reference, tag: undefined });
	return { repository, tag: reference.tag ?? "latest", shown: familiarString(reference) };
}

/** What is not here lends nothing. */
function offeredImage({ images }: BuildParts, name: string): ImageRecord[] {
	try {
		return [images.resolve(name)];
	} catch {
		return [];
	}
}
