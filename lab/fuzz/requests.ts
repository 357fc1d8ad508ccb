import type { Body, Operation, Shape } from "../../src/api/coverage/shape.ts";
import type { Random } from "./random.ts";
import { BODIES, hostileJson, hostileQuery, NAMES, objectOf, TARS } from "./values.ts";

export interface FuzzRequest {
	readonly operation: Operation;
	/** Path and query. */
	readonly url: string;
	readonly body?: Uint8Array;
	readonly contentType?: string;
}

/** Things that exist, by the area of the path: half of the requests are about them. */
export type Existing = Readonly<Record<string, string>>;

/** What makes a body whole but for the field under test, so that the field is looked at. JSON text by field. */
const BASES: Readonly<Record<string, readonly (readonly [string, string])[]>> = {
	"/containers/create": [["Image", '"busybox"']],
	"/containers/{id}/exec": [["Cmd", '["true"]']],
	"/networks/create": [["Name", '"fuzz"']],
	"/networks/{id}/connect": [["Container", '"fuzz-up"']],
	"/networks/{id}/disconnect": [["Container", '"fuzz-up"']],
	"/auth": [
		["serveraddress", '"127.0.0.1:1"'],
		["username", '"fuzz"'],
		["password", '"x"'],
	],
};

/** Nothing is asked of a registry but of one that nobody listens for. */
const NOBODY = "127.0.0.1:1%2Fnone";
const REGISTRY_QUERY = ["fromImage", "term", "remote"];
const REGISTRY_PATHS = ["/images/{name}/push", "/distribution/{name}/json", "/plugins/{name}/push"];

/** Requests of one operation: every query parameter and every field of the body, `each` times, with the others at rest or left out. */
export function requestsOf(operation: Operation, existing: Existing, each: number, random: Random): FuzzRequest[] {
	const parameters = Object.keys(operation.query);
	const fields = fieldsOf(operation.body);
	const queries = repeat(Math.max(each, each * parameters.length), () => parameters);
	const bare = queries.map(() => ({
		operation,
		url: pathOf(operation, existing, random) + queryOf(operation, random),
		...wholeBody(operation, random),
	}));
	const fieldwise = fields.flatMap((field) =>
		repeat(each, () => ({
			operation,
			url: pathOf(operation, existing, random, true),
			body: new TextEncoder().encode(fieldBody(operation, field, random)),
			contentType: "application/json",
		})),
	);
	return [...bare, ...fieldwise];
}

function repeat<T>(times: number, make: () => T): T[] {
	return Array.from({ length: times }, make);
}

/** Fields by name; of those that have many of their own (HostConfig), each of these, else the first bad one would hide the rest. */
function fieldsOf(body: Body | undefined): string[][] {
	if (typeof body !== "object" || !("fields" in body)) return [];
	return Object.entries(body.fields).flatMap(([name, shape]) => {
		const inner = typeof shape === "object" && "fields" in shape ? Object.keys(shape.fields) : [];
		return inner.length > 8 ? inner.map((field) => [name, field]) : [[name]];
	});
}

function pathOf({ path }: Operation, existing: Existing, random: Random, alive = false): string {
	const area = path.split("/")[1] ?? "";
	if (REGISTRY_PATHS.includes(path))
		return path.replace(/\{\w+\}/, random.pick([NOBODY, "%00", "UPPER:case@x", "%ZZ"]));
	const known = existing[area];
	const name = known !== undefined && (alive || random.below(2) === 0) ? known : random.pick(NAMES);
	return path.replace(/\{\w+\}/, name);
}

function queryOf({ query, path }: Operation, random: Random): string {
	const chosen = Object.entries(query).filter(() => random.below(2) === 0);
	const parts = chosen.map(([name, shape]) => {
		const remote = REGISTRY_QUERY.includes(name);
		const value = remote
			? name === "term"
				? random.pick([NOBODY, ""])
				: random.pick([NOBODY, "", "%00", "UPPER:@", "%ZZ", "%2F"])
			: hostileQuery(shape, random);
		return `${name}=${path === "/images/create" && name === "fromSrc" ? random.pick(["-", "", "%00"]) : value}`;
	});
	return parts.length > 0 ? `?${parts.join("&")}` : "";
}

function wholeBody({ method, path, body }: Operation, random: Random): { body?: Uint8Array; contentType?: string } {
	// a login without an address would go to the public registry
	if (method === "GET" || method === "HEAD" || path === "/auth") return {};
	if (body === undefined)
		return random.below(4) === 0 ? { body: random.pick(BODIES), contentType: "application/json" } : {};
	if (body === "tar") return { body: random.pick(TARS), contentType: "application/x-tar" };
	return { body: random.pick(BODIES), contentType: random.pick(["application/json", "text/plain", ""]) };
}

function fieldBody({ body, path }: Operation, [name = "", inner]: readonly string[], random: Random): string {
	const base = BASES[path] ?? [];
	// login asks the registry it names: that one stays
	if (name === "serveraddress") return objectOf(base);
	const shape = shapeOf(body, name);
	const text =
		inner === undefined ? hostileJson(shape, random) : objectOf([[inner, hostileJson(shapeOf(shape, inner), random)]]);
	return objectOf([...base.filter(([field]) => field !== name), [name, text]]);
}

function shapeOf(of: Body | undefined, field: string): Shape {
	const found = typeof of === "object" && "fields" in of ? of.fields[field] : undefined;
	return found ?? "string";
}
