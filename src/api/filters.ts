import { parseJson } from "./body.ts";
import { invalid } from "./errors.ts";

/** Values by filter name; a filter holds when any of its values does. */
export class Filters {
	constructor(private readonly values: ReadonlyMap<string, readonly string[]>) {}

	get(name: string): readonly string[] {
		return this.values.get(name) ?? [];
	}

	has(name: string): boolean {
		return this.get(name).length > 0;
	}

	/** A filter not given holds. */
	any(name: string, test: (value: string) => boolean): boolean {
		const wanted = this.get(name);
		return wanted.length === 0 || wanted.some(test);
	}

	every(name: string, test: (value: string) => boolean): boolean {
		return this.get(name).every(test);
	}
}

/** Reads `filters` in both of docker's forms, {"k":["v"]} and {"k":{"v":true}}; a name outside `allowed` is refused. */
export function filtersOf(query: URLSearchParams, allowed: readonly string[] | "any"): Filters {
	const text = query.get("filters");
	const values = new Map<string, string[]>();
	if (!text) return new Filters(values);
	const parsed = parse(text);
	for (const [name, value] of Object.entries(parsed)) {
		if (allowed !== "any" && !allowed.includes(name)) throw invalid(`invalid filter '${name}'`);
		values.set(name, valuesOf(name, value));
	}
	return new Filters(values);
}

function parse(text: string): object {
	let parsed: unknown;
	try {
		parsed = parseJson(text);
	} catch {
		throw invalid(`invalid filters: not JSON: ${text.slice(0, 100)}`);
	}
	// As Go reads it into a map.
	if (parsed === null) return {};
	if (typeof parsed !== "object" || Array.isArray(parsed)) {
		throw invalid(`invalid filters: must be an object of lists: ${text.slice(0, 100)}`);
	}
	return parsed;
}

function valuesOf(name: string, value: unknown): string[] {
	if (Array.isArray(value) && value.every((one) => typeof one === "string")) return value;
	if (typeof value === "object" && value !== null && !Array.isArray(value)) {
		const entries = Object.entries(value);
		if (entries.every(([, on]) => typeof on === "boolean")) return entries.filter(([, on]) => on).map(([key]) => key);
	}
	throw invalid(`invalid filters: '${name}' must be a list of strings: ${JSON.stringify(value)}`);
}

/** A filter that takes a boolean. */
export function boolFilter(filters: Filters, name: string): boolean | undefined {
	const values = filters.get(name).map((value) => {
		if (["1", "true"].includes(value.toLowerCase())) return true;
		if (["0", "false"].includes(value.toLowerCase())) return false;
		throw invalid(`invalid filter '${name}=[${value}]'`);
	});
	if (values.includes(true) && values.includes(false))
		throw invalid(`invalid filter '${name}=[${filters.get(name).join(" ")}]'`);
	return values[0];
}

/** `key` or `key=value` against labels. */
export function matchesLabel(labels: Readonly<Record<string, string>>, wanted: string): boolean {
	const at = wanted.indexOf("=");
	if (at < 0) return Object.hasOwn(labels, wanted);
	return Object.hasOwn(labels, wanted.slice(0, at)) && labels[wanted.slice(0, at)] === wanted.slice(at + 1);
}

/** Docker's match: equal or a regular expression; what is none matches nothing. */
export function matchesPattern(value: string, pattern: string): boolean {
	if (value === pattern) return true;
	try {
		return new RegExp(pattern).test(value);
	} catch {
		return false;
	}
}
