import type { ImageRunConfig } from "../../oci/image.ts";
import { EngineError } from "../../shared/errors.ts";
import { parseSignal } from "../../shared/signals.ts";

type Draft = { -readonly [K in keyof ImageRunConfig]: ImageRunConfig[K] };

/** Applies `docker import --change` instructions (Dockerfile syntax) to an image's run configuration. Throws "invalid". */
export function applyChanges(base: ImageRunConfig, changes: readonly string[]): ImageRunConfig {
	// As in a Dockerfile: an entrypoint takes the command that came with the old one away.
	const words = changes.filter((change) => !EMPTY.test(change)).map(wordOf);
	const dropped = words.includes("ENTRYPOINT") && !words.includes("CMD");
	const draft: Draft = { ...base, ...(dropped && { Cmd: undefined }) };
	for (const change of changes) {
		const match = /^\s*([A-Za-z]+)\s+([\s\S]+?)\s*$/.exec(change);
		const word = wordOf(change);
		const apply = Object.hasOwn(INSTRUCTIONS, word) ? INSTRUCTIONS[word] : undefined;
		if (!apply) throw new EngineError("invalid", `${word || JSON.stringify(change)} is not a valid change command`);
		if (!match) throw new EngineError("invalid", `${word} requires at least one argument`);
		// An empty list says nothing, as with dockerd: what was there stays.
		if (!EMPTY.test(change)) apply(draft, match[2] ?? "");
	}
	return draft;
}

const EMPTY = /^\s*(?:CMD|ENTRYPOINT)\s+\[\s*\]\s*$/i;

function wordOf(change: string): string {
	return /^\s*(\w+)/.exec(change)?.[1]?.toUpperCase() ?? "";
}

const INSTRUCTIONS: Record<string, (draft: Draft, rest: string) => void> = {
	CMD: (draft, rest) => {
		draft.Cmd = command(rest);
	},
	ENTRYPOINT: (draft, rest) => {
		draft.Entrypoint = command(rest);
	},
	ENV: (draft, rest) => {
		const env = new Map((draft.Env ?? []).map((one) => [one.split("=")[0], one]));
		for (const [key, value] of pairs(rest, draft.Env)) env.set(key, `${key}=${value}`);
		draft.Env = [...env.values()];
	},
	LABEL: (draft, rest) => {
		draft.Labels = { ...draft.Labels, ...Object.fromEntries(pairs(rest, draft.Env)) };
	},
	EXPOSE: (draft, rest) => {
		const ports = words(rest, draft.Env).map((port) => {
			if (!/^\d{1,5}(-\d{1,5})?(\/(tcp|udp|sctp))?$/.test(port))
				throw new EngineError("invalid", `Invalid containerPort: ${port}`);
			return port.includes("/") ? port : `${port}/tcp`;
		});
		draft.ExposedPorts = { ...draft.ExposedPorts, ...Object.fromEntries(ports.map((port) => [port, {}])) };
	},
	USER: (draft, rest) => {
		draft.User = unquote(rest, draft.Env);
	},
	VOLUME: (draft, rest) => {
		const paths = jsonList(rest) ?? words(rest, draft.Env);
		draft.Volumes = { ...draft.Volumes, ...Object.fromEntries(paths.map((path) => [path, {}])) };
	},
	WORKDIR: (draft, rest) => {
		const path = unquote(rest, draft.Env);
		draft.WorkingDir = path.startsWith("/") ? path : `${(draft.WorkingDir ?? "").replace(/\/$/, "")}/${path}`;
	},
	STOPSIGNAL: (draft, rest) => {
		const signal = unquote(rest, draft.Env);
		if (parseSignal(signal) === undefined) throw new EngineError("invalid", `invalid signal: ${signal}`);
		draft.StopSignal = signal;
	},
	ONBUILD: (draft, rest) => {
		draft.OnBuild = [...(draft.OnBuild ?? []), rest];
	},
	HEALTHCHECK: (draft, rest) => {
		draft.Healthcheck = healthcheck(rest);
	},
};

const HEALTH_FLAGS: Record<string, string> = {
	interval: "Interval",
	timeout: "Timeout",
	"start-period": "StartPeriod",
	"start-interval": "StartInterval",
};

/** `NONE`, or flags and `CMD command`. Times are nanoseconds in the image. */
function healthcheck(rest: string): object {
	if (rest.toUpperCase() === "NONE") return { Test: ["NONE"] };
	const [, flags = "", line = ""] = /^((?:--\S+\s+)*)CMD\s+([\s\S]+)$/i.exec(rest) ?? [];
	if (line === "")
		throw new EngineError("invalid", `invalid HEALTHCHECK ${JSON.stringify(rest)}: allowed are NONE and CMD`);
	const check: Record<string, unknown> = {};
	for (const flag of flags.split(/\s+/).filter(Boolean)) {
		const [, name = "", value = ""] = /^--([a-z-]+)=(.+)$/.exec(flag) ?? [];
		const nanos = durationNanos(value);
		if (name === "retries" && /^\d{1,6}$/.test(value)) check.Retries = Number(value);
		else if (Object.hasOwn(HEALTH_FLAGS, name) && nanos !== undefined) check[HEALTH_FLAGS[name] ?? ""] = nanos;
		else throw new EngineError("invalid", `invalid HEALTHCHECK flag ${flag}`);
	}
	const list = jsonList(line);
	return { Test: list ? ["CMD", ...list] : ["CMD-SHELL", line], ...check };
}

const NANOS: Record<string, number> = { ms: 1e6, s: 1e9, m: 60e9, h: 3600e9 };

function durationNanos(text: string): number | undefined {
	if (!/^(\d+(\.\d+)?(ms|s|m|h))+$/.test(text)) return undefined;
	const parts = [...text.matchAll(/(\d+(?:\.\d+)?)(ms|s|m|h)/g)];
	return parts.reduce((sum, [, n, unit]) => sum + Number(n) * (NANOS[unit ?? ""] ?? 0), 0);
}

function command(rest: string): string[] {
	return jsonList(rest) ?? ["/bin/sh", "-c", rest];
}

function jsonList(text: string): string[] | undefined {
	if (!text.startsWith("[")) return undefined;
	try {
		const value: unknown = JSON.parse(text);
		return Array.isArray(value) && value.every((one): one is string => typeof one === "string") ? value : undefined;
	} catch {
		return undefined;
	}
}

/** Words with quotes and backslashes taken off and variables filled in, as a Dockerfile's; `env` are the image's variables. */
function words(text: string, env: readonly string[] = []): string[] {
	return [...text.matchAll(/(?:"(?:\\.|[^"\\])*"|'[^']*'|\\.|[^\s"'\\])+/g)].map(([word]) => unquote(word, env));
}

function unquote(text: string, env: readonly string[] = []): string {
	return text.replace(
		/"((?:\\.|[^"\\])*)"|'([^']*)'|\\(.)|\$(\w+|\{[^}]*\})/g,
		(_all, double?: string, single?: string, escaped?: string, variable?: string) => {
			if (variable !== undefined) return variableValue(variable, env);
			if (double === undefined) return single ?? escaped ?? "";
			return double.replace(/\\(.)|\$(\w+|\{[^}]*\})/g, (_part, plain?: string, name?: string) =>
				name === undefined ? (plain ?? "") : variableValue(name, env),
			);
		},
	);
}

/** `NAME`, `{NAME}`, `{NAME:-otherwise}` or `{NAME:+instead}`. Source: Dockerfile reference, "Environment replacement". */
function variableValue(variable: string, env: readonly string[]): string {
	const [, name = "", sign, word = ""] = /^\{?(\w+)(?::([-+])([^}]*))?\}?$/.exec(variable) ?? [];
	if (name === "") throw new EngineError("invalid", `unsupported modifier in substitution: $${variable}`);
	const value = env.find((one) => one.startsWith(`${name}=`))?.slice(name.length + 1) ?? "";
	if (sign === "-") return value === "" ? word : value;
	return sign === "+" ? (value === "" ? "" : word) : value;
}

function pairs(rest: string, env: readonly string[] = []): [string, string][] {
	const list = words(rest, env);
	const [first = ""] = list;
	if (!first.includes("=")) {
		const old = /^(\S+)\s+([\s\S]+)$/.exec(rest);
		if (!old) throw new EngineError("invalid", `${JSON.stringify(rest)} is no key=value`);
		return [[old[1] ?? "", unquote(old[2] ?? "", env)]];
	}
	return list.map((word) => {
		const at = word.indexOf("=");
		if (at <= 0) throw new EngineError("invalid", `${JSON.stringify(word)} is no key=value`);
		return [word.slice(0, at), word.slice(at + 1)];
	});
}
