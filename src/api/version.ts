import { invalid } from "./errors.ts";

export const API_VERSION = "1.51";
export const MIN_API_VERSION = "1.24";

/** Splits `/v1.44/containers/json` into version 44 and the rest; without a prefix the newest counts. Throws docker's texts. */
export function splitVersion(path: string): { minor: number; rest: string } {
	const match = /^\/v(\d{1,4})(?:\.(\d{1,4}))?(?=\/|$|\?)/.exec(path);
	if (!match) return { minor: 51, rest: path };
	const version = match[2] === undefined ? `${match[1]}` : `${match[1]}.${match[2]}`;
	const rank = Number(match[1]) * 10_000 + Number(match[2] ?? 0);
	if (rank > 10_051) {
		throw invalid(`client version ${version} is too new. Maximum supported API version is ${API_VERSION}`);
	}
	if (rank < 10_024) {
		throw invalid(
			`client version ${version} is too old. Minimum supported API version is ${MIN_API_VERSION}, please upgrade your client to a newer version`,
		);
	}
	return { minor: Number(match[2]), rest: path.slice(match[0].length) || "/" };
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
