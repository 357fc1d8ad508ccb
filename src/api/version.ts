import { invalid } from "./errors.ts";

export const API_VERSION = "1.51";
export const MIN_API_VERSION = "1.24";

/** Splits `/v1.44/containers/json` into version 44 and the rest; without a prefix the newest counts. Throws docker's texts. */
export function splitVersion(path: string): { minor: number; rest: string } {
	const [prefix, version] = /^\/v([0-9.]+)(?=\/)/.exec(path) ?? [];
	if (prefix === undefined || version === undefined) return { minor: 51, rest: path };
	if (compareVersions(version, API_VERSION) > 0) {
		throw invalid(`client version ${version} is too new. Maximum supported API version is ${API_VERSION}`);
	}
	if (compareVersions(version, MIN_API_VERSION) < 0) {
		throw invalid(
			`client version ${version} is too old. Minimum supported API version is ${MIN_API_VERSION}, please upgrade your client to a newer version`,
		);
	}
	return { minor: Number(version.split(".")[1]), rest: path.slice(prefix.length) };
}

/** Part by part; what is no number counts as 0. Source: moby api/types/versions. */
function compareVersions(one: string, other: string): number {
	const [a, b] = [one.split("."), other.split(".")];
	for (let at = 0; at < Math.max(a.length, b.length); at++) {
		const difference = Number(a[at] ?? 0) - Number(b[at] ?? 0);
		if (difference !== 0) return difference;
	}
	return 0;
}

const minors = new WeakMap<Request, number>();

/** Remembers the API version a request was made with. */
export function rememberVersion(request: Request, minor: number): void {
	minors.set(request, minor);
}

/** The minor API version of a request: 24 to 51. */
export function versionOf(request: Request): number {
	return minors.get(request) ?? 51;
}

const CONTAINER_TAIL =
	/^(archive|attach|changes|exec|export|json|kill|logs|pause|rename|resize|restart|start|stats|stop|top|unpause|update|wait)$/;

/** `/containers/OWNER/ALIAS/json`, a name by a link: nothing else of a container holds a slash. */
function containerByLink(bare: string): string | undefined {
	const [owner, alias, tail, more] = bare.slice("/containers/".length).split("/");
	if (!owner || !alias || more !== undefined) return undefined;
	if (tail === undefined ? CONTAINER_TAIL.test(alias) : !CONTAINER_TAIL.test(tail)) return undefined;
	return `/containers/${owner}%2F${alias}${tail === undefined ? "" : `/${tail}`}`;
}

/**
 * Elysia's `:name` does not span slashes, and names of images and networks do: the name between a known head and a known tail becomes one segment.
 * `/images/a/b:1/json?x` -> `/images/a%2Fb:1/json?x`
 */
export function encodeNames(path: string): string {
	if (!/^\/(images|distribution|plugins|networks|containers)\//.test(path)) return path;
	const cut = path.indexOf("?");
	const bare = cut < 0 ? path : path.slice(0, cut);
	const query = cut < 0 ? "" : path.slice(cut);
	if (bare.startsWith("/containers/")) return `${containerByLink(bare) ?? bare}${query}`;
	const network = /^(\/networks\/)(.+?)(\/(?:connect|disconnect))?$/.exec(bare);
	const match =
		network ?? /^(\/[a-z]+\/)(.+?)(\/(?:json|history|tag|push|get|enable|disable|upgrade|set))?$/.exec(bare);
	if (!match?.[2]) return path;
	return `${match[1]}${match[2].replaceAll("/", "%2F")}${match[3] ?? ""}${query}`;
}
