import { createHash } from "node:crypto";
import { posix } from "node:path";
import { EngineError, messageOf } from "../../shared/errors.ts";
import { createId } from "../../shared/id.ts";
import type { Build } from "./build-state.ts";
import type { Source } from "./files.ts";
import { rootFrom } from "./from.ts";
import { isGit, parseGitUrl } from "./git-context.ts";
import { contentOf, type Heredoc } from "./heredocs.ts";
import type { CopyInstruction } from "./instructions.ts";

/** A source with the tree that it lies in; undefined: the build's context. */
export interface FoundSource extends Source {
	readonly root: string | undefined;
	/** `url`: never unpacked unless asked. */
	readonly kind: "local" | "url" | "git" | "inline";
	/** With `--parents`: the directories that are kept above it. */
	readonly above: string;
}

/** What COPY or ADD copies, its variables filled in. Throws docker's texts. */
export async function findSources(build: Build, copy: CopyInstruction): Promise<FoundSource[]> {
	const root = copy.from === undefined ? undefined : await rootFrom(build, copy.from);
	const found: FoundSource[] = [];
	for (const source of copy.sources) found.push(...(await findSource(build, copy, root, source)));
	for (const content of copy.contents) found.push(await inlineSource(build, content));
	if (found.length === 0) throw failed(copy, "no source files were specified");
	return found;
}

async function findSource(
	build: Build,
	copy: CopyInstruction,
	root: string | undefined,
	source: string,
): Promise<FoundSource[]> {
	if (copy.do === "ADD" && isGit(source)) return [await gitSource(build, copy, source)];
	if (isUrl(source)) {
		if (copy.do === "ADD") return [await urlSource(build, copy, source)];
		throw failed(copy, "source can't be a URL for COPY");
	}
	if (copy.checksum !== undefined) throw failed(copy, "checksum can't be specified for non-HTTP(S) sources");
	return await localSources(build, copy, root, source);
}

async function localSources(
	build: Build,
	copy: CopyInstruction,
	root: string | undefined,
	source: string,
): Promise<FoundSource[]> {
	const clean = posix.normalize(source);
	// BuildKit takes them for the root, as a shell does there; the classic builder does not.
	if (copy.from === undefined && !build.request.buildKit && (clean === ".." || clean.startsWith("../"))) {
		throw failed(copy, `forbidden path outside the build context: ${source} ()`);
	}
	const path = insideOf(source);
	try {
		const { files } = build.parts;
		const found =
			root === undefined ? await build.context.find(path, copy.exclude) : await files.find(root, path, copy.exclude);
		return found.map((one) => ({ ...one, root, kind: "local", above: copy.parents ? aboveOf(source, one) : "" }));
	} catch (cause) {
		if (!isMissing(cause)) throw failed(copy, worded(cause), cause);
		if (build.request.buildKit) {
			const ref = copy.from ?? "context";
			const why = `failed to calculate checksum of ref ${ref}: "/${path}": not found`;
			throw new EngineError("not-found", `failed to compute cache key: ${why}`, { cause });
		}
		const why = `stat ${path}: file does not exist`;
		const where = "file not found in build context or excluded by .dockerignore: ";
		throw failed(copy, copy.from === undefined ? where + why : why, cause);
	}
}

/** A path relative to its root, never out of it. */
function insideOf(source: string): string {
	return posix.normalize(`/${source}`).replace(/^\/+/, "").replace(/\/+$/, "");
}

/** What `--parents` keeps of a path: all, or what follows `/./`. Of a directory itself too, since its content is what is copied. */
function aboveOf(source: string, { path, isDirectory }: Source): string {
	const pivot = source.lastIndexOf("/./");
	const dropped = pivot <= 0 ? "" : insideOf(source.slice(0, pivot));
	const kept = dropped === "" ? path : path.split("/").slice(dropped.split("/").length).join("/");
	const above = isDirectory ? kept : posix.dirname(kept);
	return above === "." ? "" : above;
}

/** A file that stands in the Dockerfile. */
async function inlineSource(build: Build, heredoc: Heredoc): Promise<FoundSource> {
	const name = posix.basename(heredoc.name);
	const root = temporary(build);
	await build.parts.files.write(root, name, once(Buffer.from(contentOf(heredoc))));
	return await written(build, root, name, "inline");
}

async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
	yield bytes;
}

/** ADD of a URL: a file of mode 0600, with the time that the server says. */
async function urlSource(build: Build, copy: CopyInstruction, url: string): Promise<FoundSource> {
	const name = decoded(posix.basename(new URL(url).pathname));
	if (name === "" && copy.destination.endsWith("/")) {
		throw failed(copy, `cannot determine filename for source ${url}`);
	}
	const root = temporary(build);
	const hash = createHash("sha256");
	try {
		const { body, lastModified } = await build.parts.openUrl(url, build.signal);
		// Without a time of the server's the content alone decides.
		await build.parts.files.write(root, name || "file", hashed(body, hash), lastModified ?? new Date(0));
	} catch (cause) {
		throw failed(copy, messageOf(cause), cause);
	}
	const digest = `sha256:${hash.digest("hex")}`;
	if (copy.checksum !== undefined && copy.checksum !== digest) {
		throw failed(copy, `digest mismatch ${digest}: ${copy.checksum}`);
	}
	await build.output.text("\n");
	return await written(build, root, name || "file", "url");
}

function decoded(name: string): string {
	try {
		const plain = decodeURIComponent(name);
		return plain.includes("/") || plain.includes("\0") || plain === ".." ? name : plain;
	} catch {
		return name;
	}
}

async function* hashed(body: AsyncIterable<Uint8Array>, hash: ReturnType<typeof createHash>) {
	for await (const chunk of body) {
		hash.update(chunk);
		yield chunk;
	}
}

/** ADD of a repository: the files of a commit. */
async function gitSource(build: Build, copy: CopyInstruction, url: string): Promise<FoundSource> {
	const { files, cloneGit } = build.parts;
	const directory = temporary(build);
	try {
		const root = await cloneGit(parseGitUrl(url), directory, build.signal);
		const commit = (files.read(directory, ".git/HEAD") ?? "").trim();
		if (copy.checksum !== undefined && !commit.startsWith(copy.checksum)) {
			throw new EngineError("invalid", `expected checksum to match ${copy.checksum}, got ${commit}`);
		}
		if (!copy.keepGitDir) await files.discard(`${directory}/.git`);
		const [found] = await files.find(root, "", copy.exclude);
		return { path: "", hash: found?.hash ?? "", isDirectory: true, root, kind: "git", above: "" };
	} catch (cause) {
		throw failed(copy, messageOf(cause), cause);
	}
}

async function written(build: Build, root: string, name: string, kind: FoundSource["kind"]): Promise<FoundSource> {
	const [source] = await build.parts.files.find(root, literal(name));
	return { path: name, hash: source?.hash ?? "", isDirectory: false, root, kind, above: "" };
}

/** A name that is no pattern. */
function literal(name: string): string {
	return name.replace(/[\\*?[]/g, "\\$&");
}

/** A directory that goes with the build. */
function temporary(build: Build): string {
	const { files, directory } = build.parts;
	const root = `${directory}/${createId()}`;
	build.cleanup.defer(() => void files.discard(root));
	return root;
}

function isUrl(source: string): boolean {
	return /^https?:\/\//.test(source) && URL.canParse(source);
}

export function failed(copy: CopyInstruction, why: string, cause?: unknown): EngineError {
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
export function worded(error: unknown): string {
	const code = (error as { code?: unknown }).code;
	const phrase = typeof code === "string" ? PHRASES[code] : undefined;
	const text = messageOf(error);
	return phrase ? `${text.replace(/: [A-Z]+$/, "").replace(/^openat2 /, "open ")}: ${phrase}` : text;
}
