import { EngineError } from "../../shared/errors.ts";
import type { Flag } from "./flags.ts";
import { parseHealthcheck } from "./healthcheck.ts";
import type { Heredoc } from "./heredocs.ts";
import type { CommandLine, Instruction, Pair, RunInstruction } from "./instructions.ts";
import { copyOf } from "./parse-copy.ts";
import { splitWords } from "./words.ts";

/** One instruction as it stands in the file. */
export interface SourceLine {
	readonly text: string;
	/** Upper case. */
	readonly keyword: string;
	/** After keyword and flags, continuations joined. */
	readonly rest: string;
	/** From 1. */
	readonly line: number;
	readonly flags: readonly Flag[];
	readonly heredocs: readonly Heredoc[];
}

const KEYWORDS = [
	...["ADD", "ARG", "CMD", "COPY", "ENTRYPOINT", "ENV", "EXPOSE", "FROM", "HEALTHCHECK", "LABEL", "MAINTAINER"],
	...["ONBUILD", "RUN", "SHELL", "STOPSIGNAL", "USER", "VOLUME", "WORKDIR"],
];

const FLAGS: Readonly<Record<string, readonly string[]>> = {
	ADD: ["chown", "chmod", "link", "keep-git-dir", "checksum", "exclude", "unpack"],
	COPY: ["from", "chown", "chmod", "link", "parents", "exclude"],
	RUN: ["mount", "network", "security", "device"],
	HEALTHCHECK: ["interval", "timeout", "start-period", "start-interval", "retries"],
};

/** What an instruction means. Throws "invalid" with docker's texts and the line. */
export function parseInstruction(line: SourceLine, escapeChar: string): Instruction {
	const fail = (message: string) =>
		new EngineError("invalid", `dockerfile parse error on line ${line.line}: ${message}`);
	const { text, keyword, rest } = line;
	const common = { text, line: line.line };
	if (!KEYWORDS.includes(keyword)) throw fail(`unknown instruction: ${keyword}${suggestion(keyword)}`);
	checkFlags(line, fail);
	if (rest === "" && !["RUN", "CMD", "ENTRYPOINT"].includes(keyword)) throw fail(missing(keyword));
	switch (keyword) {
		case "RUN":
			return runOf(line, fail);
		case "CMD":
		case "ENTRYPOINT":
			return { ...common, do: keyword, command: commandOf(rest) };
		case "ENV":
		case "LABEL":
			return { ...common, do: keyword, pairs: pairsOf(keyword, rest, escapeChar) };
		case "ARG":
			return { ...common, do: keyword, pairs: argsOf(rest, escapeChar, fail) };
		case "EXPOSE":
			return { ...common, do: keyword, values: rest.split(/\s+/).sort() };
		case "VOLUME":
			return { ...common, do: keyword, values: listOf(rest) };
		case "SHELL":
			return { ...common, do: keyword, values: shellOf(rest, fail) };
		case "HEALTHCHECK":
			return { ...common, do: keyword, check: parseHealthcheck(line, fail) };
		case "COPY":
		case "ADD":
			return copyOf(line, keyword, listOf(rest), fail);
		case "ONBUILD":
			return { ...common, do: keyword, value: triggerOf(line, fail) };
		case "MAINTAINER":
		case "STOPSIGNAL":
		case "USER":
		case "WORKDIR":
			return { ...common, do: keyword, value: rest };
		default:
			throw fail(`${keyword} is not allowed here`);
	}
}

export type Fail = (message: string) => EngineError;

function checkFlags(line: SourceLine, fail: Fail): void {
	const allowed = FLAGS[line.keyword] ?? [];
	const stray = FLAGS[line.keyword] ? undefined : /^--([\w-]+)/.exec(line.rest)?.[1];
	if (stray !== undefined && !["CMD", "ENTRYPOINT", "ONBUILD", "MAINTAINER"].includes(line.keyword)) {
		throw fail(`unknown flag: --${stray}`);
	}
	for (const [i, { name, value }] of line.flags.entries()) {
		if (!allowed.includes(name)) throw fail(`unknown flag: --${name}`);
		const repeatable = name === "mount" || name === "exclude" || name === "device";
		if (!repeatable && line.flags.findIndex((one) => one.name === name) < i) {
			throw fail(`duplicate flag specified: ${name}`);
		}
		const isBoolean = ["link", "parents", "keep-git-dir", "unpack"].includes(name);
		if (!isBoolean && value === undefined) throw fail(`missing a value on flag: ${name}`);
		if (isBoolean && value !== undefined && !["true", "false", ""].includes(value.toLowerCase())) {
			throw fail(`expecting boolean value for flag ${name}, not: ${value}`);
		}
	}
}

/** Exec form when it is a JSON list of strings, else shell form. */
function commandOf(rest: string): CommandLine {
	const words = jsonList(rest);
	return words ? { shell: false, words } : { shell: true, words: rest === "" ? [] : [rest] };
}

/** A JSON list, or words. */
function listOf(rest: string): string[] {
	return jsonList(rest) ?? rest.split(/\s+/);
}

function jsonList(rest: string): string[] | undefined {
	if (!rest.startsWith("[")) return undefined;
	let value: unknown;
	try {
		value = JSON.parse(rest);
	} catch {
		return undefined;
	}
	if (!Array.isArray(value)) return undefined;
	if (value.every((one): one is string => typeof one === "string")) return value;
	throw new EngineError(
		"invalid",
		"failed to parse Dockerfile: when using JSON array syntax, arrays must be comprised of strings only",
	);
}

function pairsOf(keyword: string, rest: string, escapeChar: string): Pair[] {
	const fail = (message: string) => new EngineError("invalid", `failed to parse Dockerfile: ${message}`);
	const words = splitWords(rest, escapeChar);
	if (!words[0]?.includes("=")) {
		// ENV name and the rest of the line
		const [, name = "", value = ""] = /^(\S+)\s+([\s\S]+)$/.exec(rest) ?? [];
		if (name === "") throw fail(`${keyword} must have two arguments`);
		return [{ name, value }];
	}
	return words.map((word) => {
		const at = word.indexOf("=");
		if (at < 0) throw fail(`Syntax error - can't find = in ${JSON.stringify(word)}. Must be of the form: name=value`);
		if (at === 0) throw fail(`${keyword} names can not be blank`);
		return { name: word.slice(0, at), value: word.slice(at + 1) };
	});
}

function argsOf(rest: string, escapeChar: string, fail: Fail): Pair[] {
	return splitWords(rest, escapeChar).map((word) => {
		const at = word.indexOf("=");
		if (at === 0) throw fail("ARG names can not be blank");
		return at < 0 ? { name: word } : { name: word.slice(0, at), value: word.slice(at + 1) };
	});
}

function shellOf(rest: string, fail: Fail): string[] {
	const words = jsonList(rest);
	if (!words) throw fail("SHELL requires the arguments to be in JSON form");
	if (words.length === 0) throw fail("SHELL requires at least one argument");
	return words;
}

function runOf(line: SourceLine, fail: Fail): RunInstruction {
	const flag = (name: string) => line.flags.find((one) => one.name === name)?.value;
	const security = flag("security") ?? "sandbox";
	if (security !== "sandbox")
		throw fail(`--security=${security} is not allowed: this engine runs commands as security=sandbox only`);
	if (flag("device") !== undefined) throw fail("--device is not supported: this engine gives builds no devices");
	const network = (["default", "none", "host"] as const).find((one) => one === (flag("network") ?? "default"));
	if (!network)
		throw fail(`invalid network mode ${JSON.stringify(flag("network"))}: allowed are default, none and host`);
	const command = commandOf(line.rest);
	return {
		do: "RUN",
		text: line.text,
		line: line.line,
		command,
		heredocs: line.heredocs,
		mounts: line.flags.flatMap(({ name, value }) => (name === "mount" && value !== undefined ? [value] : [])),
		network,
	};
}

function triggerOf(line: SourceLine, fail: Fail): string {
	const keyword = /^\w+/.exec(line.rest)?.[0].toUpperCase() ?? "";
	if (keyword === "ONBUILD") throw fail("Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed");
	if (keyword === "FROM" || keyword === "MAINTAINER") throw fail(`${keyword} isn't allowed as an ONBUILD trigger`);
	if (!KEYWORDS.includes(keyword)) throw fail(`unknown instruction: ${keyword}${suggestion(keyword)}`);
	const bodies = line.heredocs.map(({ content, name }) => `\n${content}${name}`);
	return `${line.rest}${bodies.join("")}`;
}

function missing(keyword: string): string {
	if (["ENV", "LABEL", "ARG", "EXPOSE", "VOLUME"].includes(keyword)) return `${keyword} requires at least one argument`;
	if (keyword === "SHELL") return "SHELL requires the arguments to be in JSON form";
	if (keyword === "COPY" || keyword === "ADD") {
		return `${keyword} requires at least two arguments, but only one was provided. Destination could not be determined`;
	}
	if (keyword === "HEALTHCHECK" || keyword === "ONBUILD") return `${keyword} requires at least one argument`;
	return `${keyword} requires exactly one argument`;
}

/** docker's hint for a keyword that is nearly one. */
function suggestion(keyword: string): string {
	const best = KEYWORDS.map((known) => ({ known, distance: distanceOf(keyword, known) })).sort(
		(a, b) => a.distance - b.distance,
	)[0];
	return best && best.distance <= 2 ? ` (did you mean ${best.known}?)` : "";
}

/** Levenshtein. */
function distanceOf(a: string, b: string): number {
	let row = Array.from({ length: b.length + 1 }, (_, i) => i);
	for (let i = 1; i <= a.length; i++) {
		const next = [i];
		for (let j = 1; j <= b.length; j++) {
			const changed = (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
			next.push(Math.min(changed, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1));
		}
		row = next;
	}
	return row[b.length] ?? 0;
}
