import { UsageError } from "../shared/usage-error.ts";
import type { ConfiguredRuntime } from "./options.ts";

/** docker's names of its shims begin so. */
const RESERVED = /^io\.containerd\./;
const NAME = /^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$/;
const KEYS = ["path", "runtimeArgs"];

/**
 * `runtimes` of the config file in docker's shape, `{"NAME": {"path": "...", "runtimeArgs": [...]}}`, as one JSON text each that `checkRuntime`
 * takes. Throws UsageError.
 */
export function runtimeValues(value: unknown, label: string): string[] {
	return Object.entries(object(value, label)).map(([name, given]) => {
		const entry = object(given, `${label}: ${name}`);
		const other = Object.keys(entry).find((key) => !KEYS.includes(key));
		if (other !== undefined)
			throw new UsageError(
				`bad ${label}: ${name} has the key "${other}", allowed are ${KEYS.join(" and ")}: runtimes are executables here, not containerd's shims`,
			);
		const { path, runtimeArgs = [] } = entry;
		if (typeof path !== "string") throw new UsageError(`bad ${label}: ${name} has no path`);
		if (!Array.isArray(runtimeArgs) || !runtimeArgs.every((arg) => typeof arg === "string"))
			throw new UsageError(`bad ${label}: runtimeArgs of ${name} must be a list of strings`);
		return JSON.stringify({ name, path, args: runtimeArgs } satisfies ConfiguredRuntime);
	});
}

/** `NAME=PATH`, or what `runtimeValues` made of the config file. Throws UsageError. */
export function checkRuntime(text: string, label: string): string {
	const { name, path } = parseRuntime(text);
	const bad = (allowed: string) => new UsageError(`bad ${label} ${JSON.stringify(text)}: ${allowed}`);
	if (name === "" || path === "") throw bad("must be NAME=PATH, such as kata=/usr/bin/kata-runtime");
	if (RESERVED.test(name)) throw bad(`runtime name '${name}' is reserved`);
	if (!NAME.test(name)) throw bad("a name has letters, digits, dots, dashes and underscores, 64 at most");
	if (path.includes("\0") || (path.includes("/") && !path.startsWith("/")))
		throw bad("the path must be absolute, or the name of a program in PATH");
	return text;
}

/** Throws UsageError when a name stands twice. */
export function runtimesOf(values: readonly string[]): ConfiguredRuntime[] {
	const runtimes = values.map(parseRuntime);
	const twice = runtimes.find(({ name }, at) => runtimes.findIndex((other) => other.name === name) < at);
	if (twice) throw new UsageError(`bad --add-runtime: runtime '${twice.name}' was already defined`);
	return runtimes;
}

function parseRuntime(text: string): ConfiguredRuntime {
	if (text.startsWith("{")) return JSON.parse(text) as ConfiguredRuntime;
	const at = text.indexOf("=");
	return at < 0 ? { name: "", path: "", args: [] } : { name: text.slice(0, at), path: text.slice(at + 1), args: [] };
}

function object(value: unknown, label: string): Record<string, unknown> {
	if (typeof value !== "object" || value === null || Array.isArray(value))
		throw new UsageError(`bad ${label}: ${JSON.stringify(value)} is not an object of NAME: {"path": PATH}`);
	return value as Record<string, unknown>;
}
