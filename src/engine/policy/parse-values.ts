import { wrong } from "./invalid.ts";

/** A policy's name is part of names in the kernel. */
export function nameOf(value: unknown, path: string): string {
	if (typeof value === "string" && /^[a-zA-Z0-9][a-zA-Z0-9_-]{0,39}$/.test(value)) return value;
	throw wrong(path, value, "1 to 40 letters, digits, _ and -, the first a letter or digit");
}

/** A host name, or `*.` and one; lower case, without the dot at its end. */
export function patternOf(value: unknown, path: string): string {
	const text = typeof value === "string" ? value.toLowerCase().replace(/\.$/, "") : "";
	const name = text.startsWith("*.") ? text.slice(2) : text;
	const labels = name.split(".");
	const valid = name.length <= 253 && labels.every((label) => /^[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?$/.test(label));
	if (valid && !/^[\d.]+$/.test(name)) return text;
	throw wrong(path, value, "a host name such as api.example.org, or *.example.org");
}

/** Numbers and ranges as nft takes them: in order, none in another. */
export function parsePorts(value: unknown, path: string): string[] {
	const list = Array.isArray(value) ? value : [value];
	if (list.length === 0 || list.length > 256) throw wrong(path, value, "1 to 256 ports or ranges");
	const ranges = list
		.map((one, at) => rangeOf(parsePort(one, Array.isArray(value) ? `${path}[${at}]` : path)))
		.toSorted((a, b) => a[0] - b[0]);
	const merged: [number, number][] = [];
	for (const [first, last] of ranges) {
		const before = merged.at(-1);
		if (before && first <= before[1] + 1) before[1] = Math.max(before[1], last);
		else merged.push([first, last]);
	}
	return merged.map(([first, last]) => (first === last ? `${first}` : `${first}-${last}`));
}

/** `443` or `8000-8010`. */
export function parsePort(value: unknown, path: string): string {
	const text = typeof value === "number" || typeof value === "string" ? String(value).trim() : "";
	if (/^\d{1,5}(-\d{1,5})?$/.test(text)) {
		const [first, last] = rangeOf(text);
		if (first >= 1 && first <= last && last <= 65_535) return first === last ? `${first}` : `${first}-${last}`;
	}
	throw wrong(path, value, "a port from 1 to 65535, or a range such as 8000-8010");
}

/** The parts of `api.example.org:443`, `10.0.0.0/8:443`, `[2001:db8::1]:443` and `2001:db8::1`. */
export function splitPort(text: string): { readonly target: string; readonly port?: string } {
	const [, bracketed, behind] = /^\[([^\]]*)\](?::(.*))?$/.exec(text) ?? [];
	if (bracketed !== undefined) return { target: bracketed, ...(behind !== undefined && { port: behind }) };
	if (/^[\da-f:.]*:[\da-f:.]*:[\da-f:.]*(\/\d+)?$/i.test(text)) return { target: text };
	const [, target = "", port] = /^(.*?)(?::([^:]*))?$/.exec(text) ?? [];
	return { target, ...(port !== undefined && { port }) };
}

/** Whether a port is in one of these. */
export function hasPort(ports: readonly string[], port: number): boolean {
	return ports.some((text) => {
		const [first, last] = rangeOf(text);
		return port >= first && port <= last;
	});
}

function rangeOf(text: string): [first: number, last: number] {
	const [first = "", last = first] = text.split("-");
	return [Number(first), Number(last)];
}
