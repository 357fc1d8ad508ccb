import { STATUS_CODES } from "node:http";

/** One entry of a registry's error list. Source: OCI distribution spec, "Error Codes". */
export interface RegistryErrorEntry {
	readonly code: string;
	readonly message: string;
}

/**
 * Why a call to a registry failed, before it is put in the words of what was asked for. `method`, `url` and credentials are no part of
 * the message unless Go's client would print them too: the URL there has neither user information nor query.
 */
export class RegistryFailure extends Error {
	override readonly name = "RegistryFailure";
	/** HTTP status, when there was an answer. */
	readonly status: number | undefined;
	readonly entries: readonly RegistryErrorEntry[];
	/** The connection broke or never stood; trying again may help. */
	readonly transient: boolean;
	/** What `Retry-After` asks for. */
	readonly retryAfterMs: number | undefined;

	constructor(
		message: string,
		details: {
			status?: number;
			entries?: readonly RegistryErrorEntry[];
			transient?: boolean;
			retryAfterMs?: number;
			cause?: unknown;
		} = {},
	) {
		super(message, { cause: details.cause });
		this.status = details.status;
		this.entries = details.entries ?? [];
		this.transient = details.transient ?? false;
		this.retryAfterMs = details.retryAfterMs;
	}
}

const ERROR_BODY_LIMIT = 64 * 1024;
const SHOWN_BODY_LIMIT = 1024;

/** The failure that an unsuccessful answer stands for, in docker's words. Reads (a bounded part of) the body. */
export async function failureOf(response: Response, now = Date.now()): Promise<RegistryFailure> {
	const status = response.status;
	const body = new TextDecoder().decode(await readUpTo(response, ERROR_BODY_LIMIT));
	const retryAfterMs = retryAfter(response.headers.get("retry-after"), now);
	const transient = status === 429 || (status >= 500 && status !== 501 && status !== 505);
	const details = { status, transient, retryAfterMs };
	if (status >= 500 || status < 400) {
		// What the registry says of its own trouble is no reason to take the request for refused.
		const said = parseEntries(status, body);
		const why = said.length > 0 ? ` (${entriesText(said).trim()})` : "";
		return new RegistryFailure(`received unexpected HTTP status: ${statusText(status)}${why}`, details);
	}
	const entries = entriesOf(status, body);
	const message =
		entries.length > 0
			? entriesText(entries)
			: `error parsing HTTP ${status} response body: ${parseProblem(body)}: ${JSON.stringify(body.slice(0, SHOWN_BODY_LIMIT))}`;
	return new RegistryFailure(message, { ...details, entries });
}

/** `404 Not Found` */
export function statusText(status: number): string {
	return `${status} ${STATUS_CODES[status] ?? ""}`.trimEnd();
}

/** Reads at most `limit` bytes of a body and lets go of the rest. A body that breaks counts as what came until then. */
export async function readUpTo(response: Response, limit: number): Promise<Uint8Array> {
	const reader = response.body?.getReader();
	if (reader === undefined) return new Uint8Array();
	const parts: Uint8Array[] = [];
	let size = 0;
	try {
		while (size < limit) {
			const { done, value } = await reader.read();
			if (done) break;
			parts.push(value);
			size += value.length;
		}
	} catch {
		// an error text that breaks off is still an error text
	}
	await reader.cancel().catch(() => {});
	return Buffer.concat(parts).subarray(0, limit);
}

/** As docker: `code with spaces: message`; several are listed one a line. */
function entriesText(entries: readonly RegistryErrorEntry[]): string {
	const lines = entries.map((entry) => `${entry.code.toLowerCase().replaceAll("_", " ")}: ${entry.message}`);
	return lines.length === 1 ? (lines[0] ?? "") : `errors:\n${lines.join("\n")}\n`;
}

function entriesOf(status: number, body: string): RegistryErrorEntry[] {
	const parsed = parseEntries(status, body);
	if (parsed.length > 0) return parsed;
	const code = CODE_OF_STATUS[status];
	return code === undefined ? [] : [{ code, message: plainText(body) || (DEFAULT_MESSAGES[code] ?? code) }];
}

/** What a status means without the registry's own list. As dockerd. */
const CODE_OF_STATUS: Record<number, string> = { 401: "UNAUTHORIZED", 403: "DENIED", 429: "TOOMANYREQUESTS" };

/** A body that is a sentence for people; "" for JSON and web pages. */
function plainText(body: string): string {
	const text = body.trim();
	return text.startsWith("<") || parseJson(text) !== undefined ? "" : text.slice(0, SHOWN_BODY_LIMIT);
}

function parseEntries(status: number, body: string): RegistryErrorEntry[] {
	const value = parseJson(body);
	if (typeof value !== "object" || value === null) return [];
	const { errors, details } = value as { errors?: unknown; details?: unknown };
	if (Array.isArray(errors)) return errors.map(parseEntry).filter((entry) => entry !== undefined);
	// docker hub's token service and rate limiter answer {"details": "..."} alone
	if (typeof details !== "string" || details === "") return [];
	return [{ code: CODE_OF_STATUS[status] ?? "UNKNOWN", message: details }];
}

function parseEntry(value: unknown): RegistryErrorEntry | undefined {
	if (typeof value !== "object" || value === null) return undefined;
	const { code, message } = value as { code?: unknown; message?: unknown };
	if (typeof code !== "string") return undefined;
	return { code, message: typeof message === "string" && message !== "" ? message : (DEFAULT_MESSAGES[code] ?? code) };
}

/** What docker shows where the registry sends a code alone. */
const DEFAULT_MESSAGES: Record<string, string> = {
	UNAUTHORIZED: "authentication required",
	DENIED: "requested access to the resource is denied",
	MANIFEST_UNKNOWN: "manifest unknown",
	NAME_UNKNOWN: "repository name not known to registry",
	BLOB_UNKNOWN: "blob unknown to registry",
	TOOMANYREQUESTS: "too many requests",
	UNSUPPORTED: "The operation is unsupported.",
};

function parseProblem(body: string): string {
	if (body.trim() === "") return "unexpected end of JSON input";
	if (parseJson(body) !== undefined) return "no error details found in HTTP response body";
	return `invalid character '${body.trimStart()[0]}' looking for beginning of value`;
}

function parseJson(text: string): unknown {
	try {
		return JSON.parse(text);
	} catch {
		return undefined;
	}
}

/** Seconds or an HTTP date (RFC 9110, 10.2.3), as milliseconds from now. */
function retryAfter(header: string | null, now: number): number | undefined {
	if (header === null) return undefined;
	const ms = /^\d+$/.test(header.trim()) ? Number(header) * 1000 : Date.parse(header) - now;
	return Number.isFinite(ms) ? Math.max(0, ms) : undefined;
}
