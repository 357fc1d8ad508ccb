import { readFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { LOG_LEVELS, type LogLevel } from "../shared/log.ts";
import { UsageError } from "../shared/usage-error.ts";
import { checkRuntime, runtimesOf, runtimeValues } from "./config-runtimes.ts";
import {
	checkAddressPool,
	parseAddress,
	parseDns,
	parseDomain,
	parseHost,
	parseInstance,
	parseLogLevel,
	parseMirror,
	parseOptionalPath,
	parsePath,
	parseRegistry,
	parseSize,
} from "./config-values.ts";
import type { DaemonOptions } from "./options.ts";
import { defaultDataRoot, defaultHost, defaultRunRoot } from "./paths.ts";

/** A setting: the flag `--name` and the config file's key `name` are the same word. */
export interface Flag {
	readonly name: SettingName;
	readonly value: string;
	readonly repeatable: boolean;
	readonly help: string;
	/** The config file's key where it is not the same word. */
	readonly key?: string;
}

export type SettingName =
	| "data-root"
	| "run-root"
	| "host"
	| "tlscacert"
	| "tlscert"
	| "tlskey"
	| "instance"
	| "log-level"
	| "domain"
	| "dns"
	| "default-address-pool"
	| "host-gateway-ip"
	| "insecure-registry"
	| "registry-mirror"
	| "registry-certs"
	| "max-layer-size"
	| "add-runtime"
	| "default-runtime";

export const FLAGS: readonly Flag[] = [
	{ name: "data-root", value: "DIR", repeatable: false, help: "images, containers, database" },
	{ name: "run-root", value: "DIR", repeatable: false, help: "sockets and whatever a reboot may take" },
	{ name: "host", value: "URL", repeatable: true, help: "where the API listens: unix:///path or tcp://address:port" },
	{ name: "tlscacert", value: "FILE", repeatable: false, help: "CA of clients' certificates; tcp is TLS then" },
	{ name: "tlscert", value: "FILE", repeatable: false, help: "the API's certificate on tcp" },
	{ name: "tlskey", value: "FILE", repeatable: false, help: "its key" },
	{ name: "instance", value: "NAME", repeatable: false, help: "prefix of everything made in the kernel" },
	{ name: "log-level", value: "LEVEL", repeatable: false, help: LOG_LEVELS.join(", ") },
	{ name: "domain", value: "DOMAIN", repeatable: false, help: "containers answer as NAME.DOMAIN" },
	{ name: "dns", value: "ADDR:PORT", repeatable: false, help: "where the host's resolver finds those names" },
	{
		name: "default-address-pool",
		value: "base=CIDR,size=N",
		repeatable: true,
		help: "networks' subnets are cut from it; of each family docker's where there is none",
	},
	{
		name: "host-gateway-ip",
		value: "ADDR",
		repeatable: true,
		help: "what host-gateway in --add-host stands for; the bridge network's gateway where there is none",
	},
	{
		name: "insecure-registry",
		value: "HOST[:PORT]",
		repeatable: true,
		help: "registry spoken to without verified TLS",
	},
	{ name: "registry-mirror", value: "URL", repeatable: true, help: "asked for images of docker.io before it is" },
	{
		name: "registry-certs",
		value: "DIR",
		repeatable: false,
		help: "HOST[:PORT]/*.crt: a registry's CA; *.cert and *.key: ours for it",
	},
	{ name: "max-layer-size", value: "SIZE", repeatable: false, help: "an unpacked layer's limit, such as 64g" },
	{
		name: "add-runtime",
		key: "runtimes",
		value: "NAME=PATH",
		repeatable: true,
		help: "an OCI runtime that containers may name, beside crun and runc",
	},
	{ name: "default-runtime", value: "NAME", repeatable: false, help: "of containers that name none" },
];

/** One line of `foredeck config print`. `source` is `default`, `flag` or `file PATH`. */
export interface ConfigEntry {
	readonly name: SettingName;
	readonly value: string | readonly string[];
	readonly source: string;
}

export interface ResolvedConfig {
	readonly options: DaemonOptions;
	readonly entries: readonly ConfigEntry[];
}

interface Given {
	readonly values: readonly string[];
	readonly source: string;
}

/**
 * The daemon's settings: a flag wins over the config file named by `--config`, which wins over the default. Throws UsageError naming the
 * first wrong flag, key or value.
 */
export function resolveConfig(
	argv: readonly string[],
	readFile: (path: string) => string = (path) => readFileSync(path, "utf8"),
): ResolvedConfig {
	const flags = readFlags(argv);
	const path = flags.get("config")?.values.at(-1);
	const file = path === undefined ? new Map<string, Given>() : readConfigFile(path, readFile);
	const find = (name: SettingName): Given | undefined => flags.get(name) ?? file.get(name);
	return assemble(find);
}

function assemble(find: (name: SettingName) => Given | undefined): ResolvedConfig {
	const entries: ConfigEntry[] = [];
	const one = <T>(name: SettingName, standard: string, parse: (text: string, label: string) => T): T => {
		const given = find(name);
		const text = given?.values.at(-1) ?? standard;
		entries.push({ name, value: text, source: given?.source ?? "default" });
		return parse(text, labelOf(name, given));
	};
	const many = (name: SettingName, standard: readonly string[], parse: (text: string, label: string) => string) => {
		const given = find(name);
		const values = (given?.values ?? standard).map((text) => parse(text, labelOf(name, given)));
		entries.push({ name, value: values, source: given?.source ?? "default" });
		return values;
	};
	const instance = one("instance", "fd", parseInstance);
	const tls = tlsOf((name) => one(name, "", parseOptionalPath));
	const options: DaemonOptions = {
		instance,
		dataRoot: one("data-root", defaultDataRoot(instance), parsePath),
		runRoot: one("run-root", defaultRunRoot(instance), parsePath),
		hosts: many("host", [defaultHost(instance)], (text, label) => parseHost(text, label, tls !== undefined)),
		tls,
		logLevel: one<LogLevel>("log-level", "info", parseLogLevel),
		domain: one("domain", "fd.local", parseDomain),
		dns: one("dns", "127.0.0.153:53", parseDns),
		defaultAddressPools: many("default-address-pool", [], checkAddressPool),
		hostGateways: oneOfEachFamily(many("host-gateway-ip", [], parseAddress)),
		insecureRegistries: many("insecure-registry", [], parseRegistry),
		registryMirrors: many("registry-mirror", [], parseMirror),
		registryCertificates: one("registry-certs", "/etc/docker/certs.d", parsePath),
		maxLayerBytes: one("max-layer-size", "64g", parseSize),
		runtimes: runtimesOf(many("add-runtime", [], checkRuntime)),
		defaultRuntime: one("default-runtime", "", (text) => text || undefined),
	};
	if (options.hosts.length === 0) throw new UsageError("bad host: the list is empty, at least one address is needed");
	if (options.dataRoot === options.runRoot) {
		throw new UsageError(`bad run-root ${options.runRoot}: must differ from data-root`);
	}
	return { options, entries };
}

function oneOfEachFamily(addresses: readonly string[]): readonly string[] {
	const six = addresses.filter((address) => address.includes(":"));
	if (six.length <= 1 && addresses.length - six.length <= 1) return addresses;
	throw new UsageError(`bad host-gateway-ip: only one IPv4 and one IPv6 address can be given: ${addresses.join(", ")}`);
}

/** All three files or none: without the CA nobody could be told from anybody. */
function tlsOf(read: (name: "tlscacert" | "tlscert" | "tlskey") => string | undefined): DaemonOptions["tls"] {
	const [ca, cert, key] = [read("tlscacert"), read("tlscert"), read("tlskey")];
	if (ca !== undefined && cert !== undefined && key !== undefined) return { ca, cert, key };
	if (ca === undefined && cert === undefined && key === undefined) return undefined;
	const missing = Object.entries({ tlscacert: ca, tlscert: cert, tlskey: key }).find(([, path]) => path === undefined);
	throw new UsageError(`--${missing?.[0]} is missing: --tlscacert, --tlscert and --tlskey go together`);
}

/** How an error names the setting: by the flag, or by the key and its file. */
function labelOf(name: string, given: Given | undefined): string {
	return given === undefined || given.source === "flag"
		? `--${name}`
		: `"${FLAGS.find((flag) => flag.name === name)?.key ?? name}" in ${given.source.slice("file ".length)}`;
}

function readFlags(argv: readonly string[]): Map<string, Given> {
	const known = new Set<string>(["config", ...FLAGS.map((flag) => flag.name)]);
	const options = Object.fromEntries([...known].map((name) => [name, { type: "string" as const }]));
	const { tokens } = parseArgs({ args: [...argv], options, strict: false, allowPositionals: true, tokens: true });
	const given = new Map<string, Given>();
	for (const token of tokens) {
		if (token.kind === "positional") throw new UsageError(`unexpected argument ${JSON.stringify(token.value)}`);
		if (token.kind !== "option") continue;
		if (!known.has(token.name)) {
			throw new UsageError(
				`unknown flag ${token.rawName}: allowed are ${[...known].map((name) => `--${name}`).join(" ")}`,
			);
		}
		// parseArgs takes `--host --dns x` as host "--dns"; no value of ours begins with a dash
		if (token.value === undefined || token.value.startsWith("-"))
			throw new UsageError(`${token.rawName} needs a value`);
		given.set(token.name, { values: [...(given.get(token.name)?.values ?? []), token.value], source: "flag" });
	}
	return given;
}

function readConfigFile(path: string, readFile: (path: string) => string): Map<string, Given> {
	const parsed = parseJsonObject(path, readFile);
	const given = new Map<string, Given>();
	for (const [key, value] of Object.entries(parsed)) {
		const flag = FLAGS.find((candidate) => keyOf(candidate) === key);
		if (!flag) {
			throw new UsageError(`unknown key "${key}" in ${path}: allowed are ${FLAGS.map(keyOf).join(", ")}`);
		}
		given.set(flag.name, { values: fileValues(flag, value, path), source: `file ${path}` });
	}
	return given;
}

function parseJsonObject(path: string, readFile: (path: string) => string): Record<string, unknown> {
	let parsed: unknown;
	try {
		parsed = JSON.parse(readFile(path));
	} catch (error) {
		throw new UsageError(`cannot read config file ${path}: ${error instanceof Error ? error.message : String(error)}`);
	}
	if (typeof parsed !== "object" || parsed === null || Array.isArray(parsed)) {
		throw new UsageError(`cannot read config file ${path}: must be a JSON object`);
	}
	return parsed as Record<string, unknown>;
}

function keyOf({ name, key }: Flag): string {
	return key ?? name;
}

function fileValues(flag: Flag, value: unknown, path: string): readonly string[] {
	if (flag.name === "add-runtime") return runtimeValues(value, `"runtimes" in ${path}`);
	if (typeof value === "string") return [value];
	if (flag.repeatable && Array.isArray(value) && value.every((item) => typeof item === "string")) return value;
	const allowed = flag.repeatable ? "a string or a list of strings" : "a string";
	throw new UsageError(`bad "${flag.name}" in ${path}: ${JSON.stringify(value)} is not ${allowed}`);
}
