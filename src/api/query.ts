import { nowNanos } from "../shared/time.ts";
import { invalid } from "./errors.ts";
import { parseTimestamp } from "./timestamp.ts";

/** The query of a request; the first value of a repeated key counts, as in Go. */
export function queryOf(request: Request): URLSearchParams {
	const at = request.url.indexOf("?");
	return new URLSearchParams(at < 0 ? "" : request.url.slice(at + 1));
}

/** Docker's booleans: everything is true but these. */
export function boolOf(query: URLSearchParams, name: string, fallback = false): boolean {
	const value = query.get(name);
	if (value === null) return fallback;
	return !["", "0", "no", "false", "none"].includes(value.trim().toLowerCase());
}

/** A whole number; undefined when absent or empty. */
export function intOf(query: URLSearchParams, name: string): number | undefined {
	const value = query.get(name);
	if (value === null || value === "") return undefined;
	if (!/^[+-]?\d{1,15}$/.test(value))
		throw invalid(`invalid value for ${name}: strconv.Atoi: parsing "${value}": invalid syntax`);
	return Number(value);
}

/** A terminal size: rows and columns have 16 bits in the kernel. */
export function sizeOf(query: URLSearchParams): { rows: number; columns: number } {
	return { rows: dimension(query, "h"), columns: dimension(query, "w") };
}

function dimension(query: URLSearchParams, name: "h" | "w"): number {
	const value = query.get(name) ?? "";
	if (!/^\d{1,10}$/.test(value)) {
		throw invalid(`invalid resize ${name === "h" ? "height" : "width"} "${value}": invalid syntax`);
	}
	if (Number(value) > 65535)
		throw invalid(`invalid resize ${name === "h" ? "height" : "width"} "${value}": value out of range`);
	return Number(value);
}

/** Nanoseconds since the epoch of any time that docker takes (see timestamp.ts). "", "0" and absent: undefined. */
export function timeOf(query: URLSearchParams, name: string): bigint | undefined {
	const value = query.get(name);
	if (value === null || value === "" || value === "0") return undefined;
	const nanos = parseTimestamp(value, nowNanos());
	if (nanos === undefined)
		throw invalid(`invalid value for ${name}: failed to parse value as time or duration: "${value}"`);
	return nanos;
}

/** `tail` of logs: a number of lines; "all", "", absent and anything negative mean all of them. */
export function tailOf(query: URLSearchParams): number | undefined {
	const value = query.get("tail");
	if (value === null || value === "" || value === "all") return undefined;
	if (!/^-?\d{1,9}$/.test(value)) throw invalid(`invalid value for tail: "${value}"`);
	return Number(value) < 0 ? undefined : Number(value);
}
