import type { EngineError } from "../../shared/errors.ts";
import type { Healthcheck } from "./instructions.ts";
import type { SourceLine } from "./parse-instruction.ts";

type Fail = (message: string) => EngineError;

const DURATIONS = {
	interval: "Interval",
	timeout: "Timeout",
	"start-period": "StartPeriod",
	"start-interval": "StartInterval",
} as const;

/** `NONE`, or flags and `CMD command`. Throws what `fail` makes, in docker's words. */
export function parseHealthcheck({ rest, flags }: SourceLine, fail: Fail): Healthcheck {
	const [, kind = "", command = ""] = /^(\S+)\s*([\s\S]*)$/.exec(rest) ?? [];
	if (kind.toUpperCase() === "NONE") {
		if (command !== "") throw fail("HEALTHCHECK NONE takes no arguments");
		return { Test: ["NONE"] };
	}
	if (kind.toUpperCase() !== "CMD") throw fail(`Unknown type ${JSON.stringify(kind)} in HEALTHCHECK (try CMD)`);
	if (command === "") throw fail("Missing command after HEALTHCHECK CMD");
	const list = jsonList(command);
	const check: { -readonly [K in keyof Healthcheck]: Healthcheck[K] } = {
		Test: list ? ["CMD", ...list] : ["CMD-SHELL", command],
	};
	for (const { name, value = "" } of flags) {
		if (name === "retries") check.Retries = retriesOf(value, fail);
		else {
			const nanos = nanosOf(name, value, fail);
			if (nanos > 0) check[DURATIONS[name as keyof typeof DURATIONS]] = nanos;
		}
	}
	return check;
}

/** As Go prints the structure, which is what docker's history has. */
export function shownHealthcheck(check: Healthcheck): string {
	const times = [check.Interval, check.Timeout, check.StartPeriod, check.StartInterval].map((one) =>
		goDuration(one ?? 0),
	);
	return `&{[${check.Test.join(" ")}] ${times.join(" ")} ${check.Retries ?? 0}}`;
}

/** The same with Go's `%q`, which BuildKit's history has: a number is shown as the character of that number. */
export function quotedHealthcheck(check: Healthcheck): string {
	const times = [check.Interval, check.Timeout, check.StartPeriod, check.StartInterval].map((one) =>
		JSON.stringify(goDuration(one ?? 0)),
	);
	return `&{[${check.Test.map((word) => JSON.stringify(word)).join(" ")}] ${times.join(" ")} ${quotedRune(check.Retries ?? 0)}}`;
}

const ESCAPES = ["\\a", "\\b", "\\t", "\\n", "\\v", "\\f", "\\r"];

function quotedRune(code: number): string {
	const char = String.fromCodePoint(Math.min(code, 0x10ffff));
	if (char === "'" || char === "\\") return `'\\${char}'`;
	if (code >= 7 && code <= 13) return `'${ESCAPES[code - 7]}'`;
	return code < 32 || code === 127 ? `'\\x${code.toString(16).padStart(2, "0")}'` : `'${char}'`;
}

function retriesOf(value: string, fail: Fail): number {
	if (!/^-?\d{1,9}$/.test(value)) throw fail(`strconv.ParseInt: parsing ${JSON.stringify(value)}: invalid syntax`);
	const retries = Number(value);
	if (retries < 0) throw fail(`--retries cannot be negative (${value})`);
	return retries;
}

const NANOS: Record<string, number> = { ns: 1, us: 1e3, µs: 1e3, ms: 1e6, s: 1e9, m: 60e9, h: 3600e9 };

function nanosOf(name: string, value: string, fail: Fail): number {
	if (/^[+-]?\d+(\.\d+)?$/.test(value) && Number(value) !== 0) {
		throw fail(`time: missing unit in duration ${JSON.stringify(value)}`);
	}
	if (!/^[+-]?(0|(\d+(\.\d*)?(ns|us|µs|ms|s|m|h))+)$/.test(value)) {
		throw fail(`time: invalid duration ${JSON.stringify(value)}`);
	}
	const parts = [...value.matchAll(/(\d+(?:\.\d*)?)(ns|us|µs|ms|s|m|h)/g)];
	const nanos = parts.reduce((sum, [, n, unit]) => sum + Number(n) * (NANOS[unit ?? ""] ?? 0), 0);
	if (nanos !== 0 && (value.startsWith("-") || nanos < 1e6)) {
		throw fail(`Interval ${JSON.stringify(name)} cannot be less than 1ms`);
	}
	return Math.round(nanos);
}

/** `1m30s`, `500ms`, `0s` */
function goDuration(nanos: number): string {
	if (nanos === 0) return "0s";
	if (nanos < 1e9) return `${nanos / 1e6}ms`;
	const seconds = nanos / 1e9;
	const [hours, minutes] = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60];
	const rest = `${Number((seconds % 60).toFixed(9))}s`;
	if (hours > 0) return `${hours}h${minutes}m${rest}`;
	return minutes > 0 ? `${minutes}m${rest}` : rest;
}

function jsonList(text: string): string[] | undefined {
	try {
		const value: unknown = JSON.parse(text);
		return Array.isArray(value) && value.every((one): one is string => typeof one === "string") ? value : undefined;
	} catch {
		return undefined;
	}
}
