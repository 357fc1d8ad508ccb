import { MAX_INT64 } from "../shared/int64.ts";
import { repeatedKey } from "../shared/repeated-key.ts";
import { invalid } from "./errors.ts";

/** Largest JSON body that is read, in bytes. */
export const MAX_JSON_BYTES = 16 * 1024 * 1024;

/** Turns one JSON value into a T, or throws "invalid" naming `path`. `undefined` and `null` give the default, as Go's zero values do. */
export type Decode<T> = (value: unknown, path: string) => T;

type Shape<F extends Record<string, Decode<unknown>>> = { [K in keyof F]: ReturnType<F[K]> };

/** Reads and decodes the body. An empty one is an error in docker's words. */
export async function readJson<T>(request: Request, decode: Decode<T>, root: string): Promise<T> {
	const text = await readText(request);
	checkContentType(request, text);
	if (text.trim() === "") throw invalid("invalid JSON: got EOF while reading request body");
	return decode(parseJson(text), root);
}

/** As readJson, but an empty body decodes as an empty object: old clients send none. */
export async function readOptionalJson<T>(request: Request, decode: Decode<T>, root: string): Promise<T> {
	const text = await readText(request);
	checkContentType(request, text);
	return decode(text.trim() === "" ? {} : parseJson(text), root);
}

/** RFC 2045; none between two semicolons is none. */
const PARAMETER = /^\s*([\w!#$%&'*+.^`|~-]+=("[^"]*"|[\w!#$%&'*+.^`|~-]+))?\s*$/;

/** docker takes nothing but what says that it is JSON. */
function checkContentType(request: Request, text: string): void {
	const type = request.headers.get("content-type") ?? "";
	if (text === "") return;
	if (type === "") throw invalid("malformed Content-Type header (): mime: no media type");
	const [media = "", ...parameters] = type.split(";");
	if (!parameters.every((one) => PARAMETER.test(one)))
		throw invalid(`malformed Content-Type header (${type}): mime: invalid media parameter`);
	if (media.trim().toLowerCase() === "application/json") return;
	throw invalid(`unsupported Content-Type header (${type}): must be 'application/json'`);
}

/** A key that stands twice in an object is refused: some readers take the first, some the last, Go's merges both. */
export function parseJson(text: string): unknown {
	const value = parsed(text);
	const key = repeatedKey(text);
	if (key !== undefined) throw invalid(`invalid JSON: duplicate key ${JSON.stringify(key)}`);
	return value;
}

function parsed(text: string): unknown {
	try {
		return JSON.parse(text);
	} catch (error) {
		throw invalid(`invalid JSON: ${error instanceof Error ? error.message.replace(/^JSON Parse error: /, "") : error}`);
	}
}

async function readText(request: Request): Promise<string> {
	if (!request.body) return "";
	const parts: Uint8Array[] = [];
	let size = 0;
	for await (const part of request.body) {
		size += part.length;
		if (size > MAX_JSON_BYTES) throw invalid(`invalid JSON: request body larger than ${MAX_JSON_BYTES} bytes`);
		parts.push(part);
	}
	return Buffer.concat(parts).toString("utf8");
}

export const string =
	(fallback = ""): Decode<string> =>
	(value, path) => {
		if (value === undefined || value === null) return fallback;
		if (typeof value !== "string") throw mismatch(value, path, "string");
		return value;
	};

export const boolean =
	(fallback = false): Decode<boolean> =>
	(value, path) => {
		if (value === undefined || value === null) return fallback;
		if (typeof value !== "boolean") throw mismatch(value, path, "bool");
		return value;
	};

/** An int64. Above 2^53 its last digits are lost, to the nearest number that JavaScript has. */
export const integer =
	(fallback = 0): Decode<number> =>
	(value, path) => {
		if (value === undefined || value === null) return fallback;
		if (typeof value !== "number") throw mismatch(value, path, "int64");
		if (!Number.isInteger(value) || Math.abs(value) > 2 ** 63) throw mismatch(value, path, "int64", `number ${value}`);
		return Math.max(-MAX_INT64, Math.min(MAX_INT64, value));
	};

/** Go's unsigned integers; `bits` above 53 are as many as a number holds. */
export const unsigned =
	(bits: 16 | 32 | 64): Decode<number> =>
	(value, path) => {
		const number = integer()(value, path);
		if (number < 0 || number > 2 ** bits - 1) throw mismatch(value, path, `uint${bits}`, `number ${number}`);
		return number;
	};

/** What Go leaves out when it is empty: undefined then. */
export const filled =
	<T extends object>(decode: Decode<T>): Decode<T | undefined> =>
	(value, path) => {
		const decoded = decode(value, path);
		return Object.keys(decoded).length > 0 ? decoded : undefined;
	};

/** An absent value stays undefined. */
export const optional =
	<T>(decode: Decode<T>): Decode<T | undefined> =>
	(value, path) =>
		value === undefined || value === null ? undefined : decode(value, path);

/** An absent value is null, as a nil slice in Go. */
export const nullable =
	<T>(decode: Decode<T>): Decode<T | null> =>
	(value, path) =>
		value === undefined || value === null ? null : decode(value, path);

export const list =
	<T>(item: Decode<T>): Decode<T[]> =>
	(value, path) => {
		if (value === undefined || value === null) return [];
		if (!Array.isArray(value)) throw mismatch(value, path, "[]array");
		return value.map((one: unknown, index) => item(one, `${path}[${index}]`));
	};

/** docker's StrSlice: one string stands for a list of one. */
export const strings: Decode<string[]> = (value, path) =>
	typeof value === "string" ? [value] : list(string())(value, path);

export const map =
	<T>(item: Decode<T>): Decode<Record<string, T>> =>
	(value, path) => {
		const result: Record<string, T> = {};
		for (const [key, one] of Object.entries(asObject(value, path))) {
			Object.defineProperty(result, key, {
				value: item(one, `${path}.${key}`),
				enumerable: true,
				writable: true,
				configurable: true,
			});
		}
		return result;
	};

/**
 * An object with these fields. Names match in any case, as Go's decoder takes them; two keys that name the same field are refused,
 * so that no two readers can see two meanings. Unknown keys are ignored, as docker does.
 */
export function object<F extends Record<string, Decode<unknown>>>(fields: F): Decode<Shape<F>> {
	const names = new Map(Object.keys(fields).map((name) => [folded(name), name]));
	return (value, path) => {
		const found: Record<string, unknown> = {};
		for (const [key, one] of Object.entries(asObject(value, path))) {
			const name = names.get(folded(key));
			if (name === undefined) continue;
			if (Object.hasOwn(found, name)) throw invalid(`invalid JSON: duplicate field ${path}.${name}`);
			found[name] = one;
		}
		const result: Record<string, unknown> = {};
		for (const [name, decode] of Object.entries(fields)) {
			const decoded = decode(found[name], `${path}.${name}`);
			if (decoded !== undefined) result[name] = decoded;
		}
		return result as Shape<F>;
	};
}

/** As Go's decoder: the long s is an s for it; the Kelvin sign is a k in JavaScript too. */
function folded(name: string): string {
	return name.toLowerCase().replaceAll("\u017f", "s");
}

function asObject(value: unknown, path: string): Record<string, unknown> {
	if (value === undefined || value === null) return {};
	if (typeof value !== "object" || Array.isArray(value)) throw mismatch(value, path, "map");
	return value as Record<string, unknown>;
}

/** Go's wording of a type error, so that clients which look for the field find it. */
export function mismatch(value: unknown, path: string, want: string, got = kindOf(value)) {
	return invalid(`invalid JSON: json: cannot unmarshal ${got} into Go struct field ${path} of type ${want}`);
}

function kindOf(value: unknown): string {
	if (Array.isArray(value)) return "array";
	return typeof value === "boolean" ? "bool" : typeof value;
}

/** Whether a value asks for anything: Go's zero values and empty collections of them do not. */
export function isEffective(value: unknown): boolean {
	if (value === undefined || value === null || value === false || value === 0 || value === "") return false;
	if (Array.isArray(value)) return value.length > 0;
	if (typeof value === "object") return Object.keys(value).length > 0;
	return true;
}

/** A field this engine does not have: passes with a value of no effect, else is refused by name and value. */
export const unsupported = (): Decode<undefined> => (value, path) => {
	if (isEffective(value)) throw refused(path, value);
	return undefined;
};

export function refused(path: string, value: unknown) {
	const shown = typeof value === "string" ? value : JSON.stringify(value);
	return invalid(`${path.replace(/^(Config|CreateRequest)\./, "")} is not supported yet: ${shown}`);
}
