import type { IncomingMessage } from "node:http";
import { posix } from "node:path";
import { invalid } from "./errors.ts";

/** What a request line asks for: a path with its query, as routes know it, or the clean path it is to be asked by. */
export type RequestTarget = { readonly path: string } | { readonly movedTo: string };

/** RFC 3986, 2.3, but for the dot: it would be a way up. */
const UNRESERVED = /%(?:2D|5F|7E|3[0-9]|[46][1-9A-F]|[57][0-9A])/gi;

/** As Go's router: absolute addresses are taken by their path, unclean paths are moved, letters may come escaped. Throws "invalid" for a bad query. */
export function requestTarget(url: string): RequestTarget {
	const own = url.replace(/^https?:\/\/[^/?#]*/i, "");
	const cut = own.indexOf("?");
	const path = cut < 0 ? own : own.slice(0, cut);
	const query = cut < 0 ? "" : own.slice(cut);
	if (query !== "") checkQuery(query);
	if (/\/\/|\/\.\.?(\/|$)/.test(path)) return { movedTo: posix.normalize(path) + query };
	const plain = path.includes("%") ? path.replace(UNRESERVED, (code) => decodeURIComponent(code)) : path;
	return { path: plain + query };
}

function checkQuery(query: string): void {
	if (query.includes(";")) throw invalid("invalid semicolon separator in query");
	const bad = /%(?![0-9a-f]{2}).{0,2}/i.exec(query)?.[0];
	if (bad !== undefined) throw invalid(`invalid URL escape "${bad}"`);
}

/** Source: golang.org/x/net/http/httpguts, ValidHostHeader. */
const HOST = /^[\w!$%&()*+,.:;=@'[\]~-]*$/;

/** Why a request is refused for its Host header, as Go's server does: two readers of two would see two hosts. */
export function hostRefusal({ rawHeaders, headers }: IncomingMessage): string | undefined {
	if (!HOST.test(headers.host ?? "")) return "400 Bad Request: malformed Host header";
	let hosts = 0;
	for (let at = 0; at < rawHeaders.length; at += 2) if (rawHeaders[at]?.toLowerCase() === "host") hosts++;
	return hosts > 1 ? "400 Bad Request" : undefined;
}
