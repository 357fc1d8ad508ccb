import { posix } from "node:path";
import { EngineError, messageOf } from "../../shared/errors.ts";
import { createId } from "../../shared/id.ts";
import { isIgnored } from "../../shared/ignore-file.ts";
import type { BuildParts } from "./build-state.ts";
import { type BuildContext, contextOf, type KnownContext, type KnownContexts, takeIn } from "./context.ts";
import type { BuildRequest } from "./contract.ts";
import { isGit, parseGitUrl } from "./git-context.ts";
import { type LocalParts, localContext, readLocalDockerfile } from "./local-context.ts";
import type { SyncedTrees } from "./synced-trees.ts";

const DOCKERFILE = "Dockerfile";
const IGNORE = ".dockerignore";
const MAX_DOCKERFILE_BYTES = 8 << 20;
const TEXT_TYPES = /^(text\/plain|application\/octet-stream)?\s*(;|$)/;
const ARCHIVE_TYPES =
	/^application\/(x-)?(tar|gzip|x-gzip|bzip2|x-bzip2|xz|x-xz|octet-stream|x-tar-gz|x-compressed-tar)/;

/** What outlives a build, and what ends with it. */
export interface ContextParts {
	readonly contexts: KnownContexts;
	readonly trees: SyncedTrees;
	readonly cleanup: AsyncDisposableStack;
}

/** Takes in what a build is made from. Its files go into `directory`, which the caller discards, also when this throws. */
export async function openContext(
	parts: BuildParts,
	request: BuildRequest,
	signal: AbortSignal,
	directory: string,
	{ contexts, trees, cleanup }: ContextParts,
): Promise<{ readonly dockerfile: string; readonly context: BuildContext }> {
	const { buildKit } = request;
	const local = buildKit && { files: parts.files, trees, buildKit, signal, cleanup };
	if (local && ("local" in request.context || local.buildKit.dockerfileIn !== undefined)) {
		return await openFromClient(parts, request, local, directory);
	}
	if ("url" in request.context) {
		const { root, name } = await fetchContext(parts, request.context.url, request, signal, directory);
		const dockerfile = readDockerfile(parts, root, name || DOCKERFILE);
		return { dockerfile, context: contextOf(parts.files, async () => root, { sources: new Map() }) };
	}
	if ("local" in request.context) throw new EngineError("invalid", "a client's directory needs BuildKit");
	const name = request.dockerfile || DOCKERFILE;
	const { body, digest } = await takeIn(request.context.body);
	const known: KnownContext = digest === undefined ? { sources: new Map() } : contexts.of(`${digest} ${name}`);
	const whole = async () => {
		await unpack(parts, directory, body);
		known.dockerfile = readDockerfile(parts, directory, name);
		return directory;
	};
	const context = contextOf(parts.files, whole, known);
	if (known.dockerfile === undefined) await context.root();
	return { dockerfile: known.dockerfile ?? "", context };
}

/** The Dockerfile is in a directory of the client, and the context too or behind a URL. */
async function openFromClient(parts: BuildParts, request: BuildRequest, local: LocalParts, directory: string) {
	const { context } = request;
	const name = "local" in context ? context.local : undefined;
	const { dockerfileIn = name ?? "dockerfile" } = local.buildKit;
	const { text, ignore } = await readLocalDockerfile(local, dockerfileIn, request.dockerfile);
	if (name !== undefined) return { dockerfile: text, context: await localContext(local, name, ignore) };
	if (!("url" in context))
		throw new EngineError("invalid", "a Dockerfile of the client's needs a context that is no tar");
	const { root } = await fetchContext(parts, context.url, request, local.signal, directory);
	return { dockerfile: text, context: contextOf(parts.files, async () => root, { sources: new Map() }) };
}

/** The context behind a value of `--build-context`: a directory of the client, or a URL. */
export async function openNamed(
	local: LocalParts,
	parts: BuildParts,
	request: BuildRequest,
	value: string,
): Promise<BuildContext> {
	if (value.startsWith("local:")) return await localContext(local, value.slice("local:".length), undefined);
	const directory = `${parts.directory}/${createId()}`;
	local.cleanup.defer(() => void parts.files.discard(directory));
	const { root } = await fetchContext(parts, value, request, local.signal, directory);
	return contextOf(parts.files, async () => root, { sources: new Map() });
}

async function unpack({ files }: BuildParts, directory: string, body: AsyncIterable<Uint8Array>): Promise<void> {
	try {
		await files.unpack(directory, body);
	} catch (cause) {
		if (cause instanceof EngineError) throw cause;
		throw new EngineError("invalid", `Error processing tar file: ${messageOf(cause)}`, { cause });
	}
}

/**
 * A repository or a URL's tar is the context; a text there is the Dockerfile, and nothing else is in the context.
 * Returns the directory of the files and the Dockerfile's name in it.
 */
async function fetchContext(
	parts: BuildParts,
	url: string,
	request: BuildRequest,
	signal: AbortSignal,
	directory: string,
): Promise<{ readonly root: string; readonly name: string }> {
	if (isGit(url)) {
		return { root: await parts.cloneGit(parseGitUrl(url), directory, signal), name: request.dockerfile };
	}
	if (!/^https?:\/\//.test(url)) {
		throw new EngineError("invalid", `remoteURL (${url}) could not be recognized as URL`);
	}
	const { body, contentType } = await parts.openUrl(url, signal);
	const { head, whole, drop } = await peek(body);
	if (!isArchive(head)) {
		if (!TEXT_TYPES.test(contentType) && !ARCHIVE_TYPES.test(contentType)) {
			await drop();
			throw new EngineError("invalid", `unsupported Content-Type ${JSON.stringify(contentType)} of ${url}`);
		}
		const name = `dockerfile.${createId()}`;
		await parts.files.write(directory, name, limited(whole, url));
		return { root: directory, name };
	}
	await unpack(parts, directory, whole);
	return { root: directory, name: request.dockerfile };
}

/** A tar, or something that is compressed. */
function isArchive(head: Buffer): boolean {
	const magics = ["\x1f\x8b", "BZh", "\xfd7zXZ", "\x28\xb5\x2f\xfd"];
	return (
		head.toString("latin1", 257, 262) === "ustar" || magics.some((magic) => head.toString("latin1").startsWith(magic))
	);
}

/** Its beginning, and all of it; who does not read it drops it. */
async function peek(body: AsyncIterable<Uint8Array>) {
	const iterator = body[Symbol.asyncIterator]();
	const seen: Uint8Array[] = [];
	for (let size = 0; size < 512; ) {
		const { done, value } = await iterator.next();
		if (done) break;
		seen.push(value);
		size += value.length;
	}
	async function* whole() {
		try {
			yield* seen;
			for (let next = await iterator.next(); !next.done; next = await iterator.next()) yield next.value;
		} finally {
			await iterator.return?.();
		}
	}
	const drop = async () => void (await iterator.return?.());
	return { head: Buffer.concat(seen), whole: whole(), drop };
}

async function* limited(body: AsyncIterable<Uint8Array>, url: string): AsyncGenerator<Uint8Array> {
	let size = 0;
	for await (const chunk of body) {
		size += chunk.length;
		if (size > MAX_DOCKERFILE_BYTES) throw new EngineError("invalid", `the Dockerfile at ${url} is larger than 8 MiB`);
		yield chunk;
	}
}

/** Its text. It and the ignore file are taken out of the context when that excludes them; what else is excluded the client does not send. */
function readDockerfile({ files }: BuildParts, directory: string, asked: string): string {
	if (asked.includes("\0"))
		throw new EngineError("invalid", `Cannot locate specified Dockerfile: ${JSON.stringify(asked)}`);
	const clean = posix.normalize(`/${asked}`).slice(1);
	const candidates = clean === DOCKERFILE ? [DOCKERFILE, DOCKERFILE.toLowerCase()] : [clean];
	for (const name of candidates) {
		const text = readText(files, directory, name);
		if (text === undefined) continue;
		if (text === "") throw new EngineError("invalid", `the Dockerfile (${name}) cannot be empty`);
		const ignore = files.read(directory, IGNORE);
		if (ignore !== undefined) {
			for (const one of [IGNORE, name]) if (isIgnored(one, ignore)) files.remove(directory, one);
		}
		return text;
	}
	throw new EngineError("invalid", `Cannot locate specified Dockerfile: ${asked}`);
}

/** A name that the kernel refuses is none of a file. */
function readText(files: BuildParts["files"], directory: string, name: string): string | undefined {
	try {
		return files.read(directory, name);
	} catch (error) {
		if (["ENAMETOOLONG", "EACCES", "EISDIR"].includes(String((error as { code?: unknown }).code))) return undefined;
		throw error;
	}
}
