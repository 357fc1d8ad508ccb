import { isIP, isIPv4 } from "node:net";
import { parseAddressPool } from "../drivers/ipam/configured.ts";
import { LOG_LEVELS, type LogLevel } from "../shared/log.ts";
import { UsageError } from "../shared/usage-error.ts";

/** sun_path holds 108 bytes with its final NUL (unix(7)). */
const MAX_SOCKET_PATH = 107;

function bad(label: string, text: string, allowed: string): UsageError {
	return new UsageError(`bad ${label} ${JSON.stringify(text)}: ${allowed}`);
}

/** Short, so that interface names (15 bytes) still hold the prefix. */
export function parseInstance(text: string, label: string): string {
	if (/^[a-z0-9][a-z0-9-]{0,10}$/.test(text)) return text;
	throw bad(label, text, "allowed are 1 to 11 of a-z, 0-9 and -, not beginning with -");
}

export function parsePath(text: string, label: string): string {
	const path = text.length > 1 ? text.replace(/\/+$/, "") : text;
	if (!path.startsWith("/") || path.includes("\0")) throw bad(label, text, "must be an absolute path");
	if (path === "" || path === "/" || path.split("/").includes(".."))
		throw bad(label, text, "must be a directory of its own");
	return path;
}

/** "" is none. */
export function parseOptionalPath(text: string, label: string): string | undefined {
	return text === "" ? undefined : parsePath(text, label);
}

/** unix:///path or tcp://address:port. The API is root's, so TCP beyond loopback needs client certificates (`tls`). */
export function parseHost(text: string, label: string, tls: boolean): string {
	if (text.startsWith("unix://")) return parseUnixHost(text, label);
	if (!text.startsWith("tcp://")) throw bad(label, text, "must be unix:///path or tcp://127.0.0.1:port");
	const { address, port } = splitAddress(text.slice("tcp://".length));
	if (port === undefined || address === undefined) throw bad(label, text, "must be tcp://address:port");
	if (!tls && !isLoopback(address)) {
		throw bad(
			label,
			text,
			"tcp beyond loopback is refused without TLS client certificates (--tlscacert, --tlscert, --tlskey)",
		);
	}
	return text;
}

function parseUnixHost(text: string, label: string): string {
	const path = text.slice("unix://".length);
	if (!/^\/[^\0]+[^/\0]$/.test(path)) throw bad(label, text, "must be unix:// and an absolute path");
	if (Buffer.byteLength(path) > MAX_SOCKET_PATH) throw bad(label, text, `the path may have ${MAX_SOCKET_PATH} bytes`);
	return text;
}

function isLoopback(address: string): boolean {
	return address === "localhost" || address === "::1" || (isIPv4(address) && address.startsWith("127."));
}

export function parseAddress(text: string, label: string): string {
	if (isIP(text) !== 0) return text;
	throw bad(label, text, "must be an address");
}

export function parseLogLevel(text: string, label: string): LogLevel {
	const level = LOG_LEVELS.find((known) => known === text);
	if (level === undefined) throw bad(label, text, `allowed are ${LOG_LEVELS.join(", ")}`);
	return level;
}

/** RFC 1035 labels, lower-case. */
export function parseDomain(text: string, label: string): string {
	const domainLabel = "[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?";
	if (text.length <= 200 && new RegExp(`^${domainLabel}(\\.${domainLabel})*$`).test(text)) return text;
	throw bad(label, text, "must be a lower-case domain such as fd.local");
}

export function parseDns(text: string, label: string): { address: string; port: number } {
	const { address, port } = splitAddress(text);
	if (address === undefined || port === undefined || isIP(address) === 0) {
		throw bad(label, text, "must be ADDR:PORT with an IP address, such as 127.0.0.153:53");
	}
	return { address, port };
}

export function checkAddressPool(text: string, label: string): string {
	if (parseAddressPool(text)) return text;
	throw bad(label, text, "must be base=CIDR,size=N with N the subnets' length, such as base=10.10.0.0/16,size=24");
}

export function parseRegistry(text: string, label: string): string {
	const { address, port } = splitAddress(text.includes(":") ? text : `${text}:443`);
	if (address !== undefined && port !== undefined && /^[A-Za-z0-9.:-]+$/.test(address)) return text;
	throw bad(label, text, "must be HOST or HOST:PORT");
}

/** A mirror's base: scheme and host, no credentials, path or query. */
export function parseMirror(text: string, label: string): string {
	const url = URL.canParse(text) ? new URL(text) : undefined;
	const plain = url && (url.protocol === "https:" || url.protocol === "http:") && url.username === "";
	if (plain && url.pathname === "/" && url.search === "" && url.hash === "") return text.replace(/\/$/, "");
	throw bad(label, text, "must be http:// or https:// and HOST[:PORT], nothing behind it");
}

const SIZE_UNITS: Record<string, number> = { "": 1, k: 1024, m: 1024 ** 2, g: 1024 ** 3, t: 1024 ** 4 };

/** Bytes of `1048576`, `512m`, `64g`. */
export function parseSize(text: string, label: string): number {
	const [, digits, unit = ""] = /^(\d{1,15})([kmgt]?)b?$/i.exec(text) ?? [];
	const bytes = Number(digits) * (SIZE_UNITS[unit.toLowerCase()] ?? 1);
	if (digits !== undefined && bytes > 0 && Number.isSafeInteger(bytes)) return bytes;
	throw bad(label, text, "must be a number above 0 with k, m, g or t, such as 64g");
}

/** `a.b.c.d:port`, `host:port` or `[v6]:port`; the parts that cannot be read are undefined. */
function splitAddress(text: string): { address?: string; port?: number } {
	const match = /^(?:\[([0-9a-fA-F:]+)\]|([^:[\]]+)):(\d{1,5})$/.exec(text);
	if (!match) return {};
	const port = Number(match[3]);
	return { address: match[1] ?? match[2], port: port >= 1 && port <= 65535 ? port : undefined };
}
