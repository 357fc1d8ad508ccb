import { EngineError } from "../shared/errors.ts";

/** A parsed image name. Source of the grammar: distribution/reference. */
export interface Reference {
	/** `docker.io`, `127.0.0.1:5000` */
	readonly domain: string;
	/** `library/busybox` */
	readonly path: string;
	readonly tag?: string;
	readonly digest?: string;
}

const ALNUM = "[a-z0-9]+";
const COMPONENT = `${ALNUM}(?:(?:\\.|_|__|-+)${ALNUM})*`;
const PATH = new RegExp(`^${COMPONENT}(?:/${COMPONENT})*$`);
const HOST = "(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])";
const DOMAIN = new RegExp(`^(?:${HOST}(?:\\.${HOST})*|\\[[a-fA-F0-9:]+\\])(?::[0-9]+)?$`);
const TAG = /^\w[\w.-]{0,127}$/;
const DIGEST = /^[A-Za-z][A-Za-z0-9]*(?:[-_+.][A-Za-z][A-Za-z0-9]*)*:[0-9a-fA-F]{32,}$/;
const NAME_LIMIT = 255;

/** Parses a name as a user types it and fills in `docker.io/` and `library/`. Throws "invalid" in docker's words. */
export function parseReference(text: string): Reference {
	if (/^[a-f0-9]{64}$/.test(text)) {
		fail(`invalid repository name (${text}), cannot specify 64-byte hexadecimal strings`);
	}
	const at = text.indexOf("@");
	const digest = at < 0 ? undefined : text.slice(at + 1);
	if (digest !== undefined && !DIGEST.test(digest)) fail("invalid reference format");
	const named = at < 0 ? text : text.slice(0, at);
	const { domain, rest } = splitDomain(named);
	const colon = rest.indexOf(":");
	const path = colon < 0 ? rest : rest.slice(0, colon);
	const tag = colon < 0 ? undefined : rest.slice(colon + 1);
	if (path.toLowerCase() !== path && PATH.test(path.toLowerCase())) {
		fail(`invalid reference format: repository name (${path}) must be lowercase`);
	}
	if (!DOMAIN.test(domain) || !PATH.test(path)) fail("invalid reference format");
	if (tag !== undefined && !TAG.test(tag)) fail("invalid reference format");
	if (path.length > NAME_LIMIT) fail(`repository name must not be more than ${NAME_LIMIT} characters`);
	return { domain, path, tag, digest };
}

export function isTag(text: string): boolean {
	return TAG.test(text);
}

/** For a name that an image is to get; one that digests look like is refused in docker's words. */
export function parseNewTag(text: string): Reference {
	const reference = parseTagged(text);
	if (familiarName(reference) === "sha256") fail("refusing to create an ambiguous tag using digest algorithm as name");
	return reference;
}

/** The same with `latest` where neither tag nor digest is given. */
export function parseTagged(text: string): Reference {
	const reference = parseReference(text);
	return reference.tag === undefined && reference.digest === undefined ? { ...reference, tag: "latest" } : reference;
}

/** The repository as docker shows it: `busybox`, `alice/app`, `127.0.0.1:5000/app`. */
export function familiarName(reference: Reference): string {
	if (reference.domain !== "docker.io") return `${reference.domain}/${reference.path}`;
	const official = /^library\/([^/]+)$/.exec(reference.path);
	return official?.[1] ?? reference.path;
}

/** The whole reference as docker shows it: `busybox:latest`, `busybox@sha256:...`. */
export function familiarString(reference: Reference): string {
	const tag = reference.tag === undefined ? "" : `:${reference.tag}`;
	const digest = reference.digest === undefined ? "" : `@${reference.digest}`;
	return familiarName(reference) + tag + digest;
}

/** The repository part of a familiar string: `127.0.0.1:5000/app` of `127.0.0.1:5000/app:1`. */
export function repositoryOf(familiar: string): string {
	return familiarName(parseReference(familiar));
}

function splitDomain(name: string): { domain: string; rest: string } {
	const slash = name.indexOf("/");
	const first = slash < 0 ? "" : name.slice(0, slash);
	const isHost = /[.:]/.test(first) || first === "localhost" || first.toLowerCase() !== first;
	const given = slash >= 0 && isHost ? first : "docker.io";
	const rest = slash >= 0 && isHost ? name.slice(slash + 1) : name;
	const domain = given === "index.docker.io" ? "docker.io" : given;
	return { domain, rest: domain === "docker.io" && !rest.includes("/") ? `library/${rest}` : rest };
}

function fail(message: string): never {
	throw new EngineError("invalid", message);
}
