import type { EngineError } from "../../shared/errors.ts";

/** `RUN --mount`: what else the command sees. Source: Dockerfile reference, "RUN --mount". */
export interface RunMount {
	readonly type: "bind" | "cache" | "tmpfs" | "secret" | "ssh";
	/** In the container; relative ones count from the working directory. "" of secrets and ssh: the usual place. */
	readonly target: string;
	/** A stage, an image or a named context; undefined: the build's context, or nothing for a cache. */
	readonly from?: string;
	/** In what it is from. */
	readonly source: string;
	readonly readonly: boolean;
	/** Of a cache, secret or agent; "" stands for the usual one. */
	readonly id: string;
	readonly sharing: "shared" | "private" | "locked";
	readonly required: boolean;
	readonly mode?: number;
	readonly uid?: number;
	readonly gid?: number;
	/** Bytes of a tmpfs; 0: no limit of its own. */
	readonly size: number;
	/** Variable that a secret is given in. */
	readonly env?: string;
}

type Fail = (message: string) => EngineError;

const TYPES = ["bind", "cache", "tmpfs", "secret", "ssh"] as const;
const SHARING = ["shared", "private", "locked"] as const;
const SWITCHES = ["readonly", "ro", "readwrite", "rw", "required"];
const ALIASES: Readonly<Record<string, string>> = {
	ro: "readonly",
	rw: "readwrite",
	src: "source",
	dst: "target",
	destination: "target",
};
const KEYS = [
	...["type", "from", "source", "target", "readonly", "readwrite", "id", "sharing", "required", "size", "mode"],
	...["uid", "gid", "env"],
];

/** One `--mount` flag, its variables filled in. Throws what `fail` makes. */
export function parseRunMount(text: string, fail: Fail): RunMount {
	const given = fieldsOf(text, fail);
	const type = oneOf(given, "type", TYPES, fail) ?? "bind";
	const wrong = (key: string, allowed: boolean) => {
		if (given.has(key) && !allowed) throw fail(`${key} is not allowed for mount type ${JSON.stringify(type)}`);
	};
	const hasOwner = type === "secret" || type === "ssh" || type === "cache";
	for (const key of ["mode", "uid", "gid"]) wrong(key, hasOwner);
	wrong("sharing", type === "cache");
	wrong("size", type === "tmpfs");
	wrong("env", type === "secret");
	wrong("required", type === "secret" || type === "ssh");
	wrong("from", type === "bind" || type === "cache");
	const target = given.get("target") ?? "";
	if (target === "" && ["bind", "cache", "tmpfs"].includes(type))
		throw fail(`invalid mount target ${JSON.stringify(target)}`);
	if (type === "secret" && !given.get("id") && !given.get("source") && target === "") {
		throw fail("invalid secret mount. one of source, target required");
	}
	return {
		type,
		target,
		...(given.get("from") && { from: given.get("from") }),
		source: given.get("source") ?? "",
		readonly: isReadonly(given, type),
		id: given.get("id") ?? "",
		sharing: oneOf(given, "sharing", SHARING, fail) ?? "shared",
		required: given.get("required") === "true",
		...numbersOf(given, fail),
		size: sizeOf(given.get("size"), fail),
		...(given.get("env") && { env: given.get("env") }),
	};
}

function fieldsOf(text: string, fail: Fail): Map<string, string> {
	const given = new Map<string, string>();
	for (const field of text.split(/,(?=(?:[^"]*"[^"]*")*[^"]*$)/)) {
		const plain = field.replace(/^"(.*)"$/, "$1");
		const at = plain.indexOf("=");
		const word = (at < 0 ? plain : plain.slice(0, at)).toLowerCase().trim();
		const key = ALIASES[word] ?? word;
		if (!KEYS.includes(key)) throw fail(`unexpected key '${word}' in '${plain}'`);
		if (at < 0 && !SWITCHES.includes(word)) throw fail(`invalid field '${plain}' must be a key=value pair`);
		const value = at < 0 ? "true" : plain.slice(at + 1);
		if (["readonly", "readwrite", "required"].includes(key)) given.set(key, String(booleanOf(word, value, fail)));
		else given.set(key, value);
	}
	return given;
}

function booleanOf(key: string, value: string, fail: Fail): boolean {
	if (/^(1|t|true)$/i.test(value)) return true;
	if (/^(0|f|false)$/i.test(value)) return false;
	throw fail(`invalid value for ${key}: ${value}`);
}

function isReadonly(given: ReadonlyMap<string, string>, type: RunMount["type"]): boolean {
	if (given.has("readwrite")) return given.get("readwrite") !== "true";
	if (given.has("readonly")) return given.get("readonly") === "true";
	return type === "bind" || type === "secret";
}

function oneOf<T extends string>(
	given: ReadonlyMap<string, string>,
	key: string,
	allowed: readonly T[],
	fail: Fail,
): T | undefined {
	const value = given.get(key)?.toLowerCase();
	if (value === undefined) return undefined;
	const found = allowed.find((one) => one === value);
	if (found === undefined)
		throw fail(`unsupported ${key === "type" ? "mount type" : `${key} value`} ${JSON.stringify(value)}`);
	return found;
}

function numbersOf(given: ReadonlyMap<string, string>, fail: Fail): Pick<RunMount, "mode" | "uid" | "gid"> {
	const [mode, uid, gid] = ["mode", "uid", "gid"].map((key) => given.get(key));
	if (mode !== undefined && !/^[0-7]{1,5}$/.test(mode)) throw fail(`invalid value ${mode} for mode`);
	for (const [key, value] of [
		["uid", uid],
		["gid", gid],
	] as const) {
		if (value !== undefined && !/^\d{1,9}$/.test(value)) throw fail(`invalid value ${value} for ${key}`);
	}
	return {
		...(mode !== undefined && { mode: Number.parseInt(mode, 8) }),
		...(uid !== undefined && { uid: Number(uid) }),
		...(gid !== undefined && { gid: Number(gid) }),
	};
}

const UNITS = ["", "k", "m", "g", "t"];

function sizeOf(text: string | undefined, fail: Fail): number {
	if (text === undefined) return 0;
	const [, number, unit = ""] = /^(\d+(?:\.\d+)?) ?([kmgt]?)i?b?$/i.exec(text) ?? [];
	if (number === undefined) throw fail(`invalid value for size: ${text}`);
	return Math.floor(Number(number) * 1024 ** UNITS.indexOf(unit.toLowerCase()));
}
