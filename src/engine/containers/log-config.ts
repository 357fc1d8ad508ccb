import type { LogReadOptions } from "../../drivers/log/driver.ts";
import { EngineError } from "../../shared/errors.ts";
import type { LogTarget } from "../../shared/log-target.ts";
import type { HostConfig } from "./config.ts";
import { type Context, containerDir } from "./context.ts";
import { logAttributes, logTag } from "./log-attributes.ts";
import { syslogTarget } from "./log-syslog.ts";
import type { ContainerRecord } from "./record.ts";

type LogConfig = HostConfig["LogConfig"];
type Options = Readonly<Record<string, string>>;

const invalid = (message: string) => new EngineError("invalid", message);

const FILE = ["max-size", "max-file", "compress"];
const ATTRIBUTES = ["labels", "labels-regex", "env", "env-regex", "tag"];
const TLS = ["ca-cert", "cert", "key", "skip-verify"].map((word) => `syslog-tls-${word}`);
/** Of every driver. */
const COMMON = [
	"mode",
	"max-buffer-size",
	...["disabled", "max-size", "max-file", "compress"].map((word) => `cache-${word}`),
];
const OPTIONS: Record<LogConfig["Type"], readonly string[]> = {
	"json-file": [...FILE, ...ATTRIBUTES],
	local: FILE,
	syslog: [...ATTRIBUTES, "syslog-address", "syslog-facility", "syslog-format", ...TLS],
	journald: ATTRIBUTES,
	none: [],
};
const LOCAL = { maxSize: 20 * 1024 ** 2, maxFiles: 5, compress: true };
const BUFFER_BYTES = 1_000_000;

/** Refuses what the driver does not know, and values that are none: "invalid" in docker's words. Whether it is there shows at the start. */
export function validateLog({ Type, Config }: LogConfig): void {
	// docker looks at nothing there.
	if (Type === "none") return;
	for (const name of Object.keys(Config)) {
		if (OPTIONS[Type].includes(name) || COMMON.includes(name)) continue;
		const driver = Type === "local" ? "log driver local" : `${Type} log driver`;
		throw invalid(`unknown log opt '${name}' for ${driver}`);
	}
	bufferBytes(Config);
	cacheOf(Config, "");
	if (Type === "json-file") jsonFileLimits(Config);
	if (Type === "local") localLimits(Config);
	if (Type === "syslog") syslogTarget(Config, "");
	logAttributes(Config, {}, []);
	logTag(Config.tag ?? "", undefined);
}

/** What a container's output is written to; undefined: nothing. */
export function logTarget(context: Pick<Context, "dataRoot">, record: ContainerRecord): LogTarget | undefined {
	const { config, hostConfig } = record;
	const { Type, Config } = hostConfig.LogConfig;
	const { path } = logFile(context, record) ?? { path: "" };
	const buffer = Type === "none" ? undefined : bufferBytes(Config);
	const common = { ...(buffer !== undefined && { bufferBytes: buffer }) };
	const attributes = logAttributes(Config, config.Labels, config.Env);
	const cache = cacheOf(Config, path);
	const remote = { path: "", maxSize: 0, maxFiles: 1, ...(cache && { cache }), ...common };
	switch (Type) {
		case "none":
			return undefined;
		case "json-file": {
			const tag: Record<string, string> = Config.tag ? { tag: logTag(Config.tag, record) } : {};
			return { path, ...jsonFileLimits(Config), attributes: { ...attributes, ...tag }, ...common };
		}
		case "local":
			return { driver: "local", path, ...localLimits(Config), ...common };
		case "syslog":
			return { driver: "syslog", syslog: syslogTarget(Config, logTag(Config.tag || DEFAULT_TAG, record)), ...remote };
		case "journald":
			return { driver: "journald", fields: journalFields(record, attributes), ...remote };
	}
}

const DEFAULT_TAG = "{{.ID}}";

/** What can be read of a container's log: the driver's own file or the copy kept beside it; undefined: nothing. */
export function logFile(
	context: Pick<Context, "dataRoot">,
	{ id, hostConfig }: Pick<ContainerRecord, "id" | "hostConfig">,
): { readonly path: string; readonly format: NonNullable<LogReadOptions["format"]> } | undefined {
	const directory = containerDir(context, id);
	const { Type, Config } = hostConfig.LogConfig;
	if (Type === "json-file") return { path: `${directory}/${id}-json.log`, format: "json-file" };
	if (Type === "local") return { path: `${directory}/local-logs/container.log`, format: "local" };
	if (Type === "none" || cacheOf(Config, "") === undefined) return undefined;
	return { path: `${directory}/container-cached.log`, format: "local" };
}

function jsonFileLimits(options: Options) {
	const { "max-size": size = "", "max-file": files = "1", compress = "false" } = options;
	const maxSize = options["max-size"] === undefined ? 0 : sizeOf("max-size", size);
	if (options["max-size"] !== undefined && maxSize <= 0) throw invalid("max-size must be a positive number");
	const maxFiles = fileCount(files);
	const compressed = truth("compress", compress);
	if (compressed && (maxFiles < 2 || maxSize === 0)) {
		throw invalid("compress cannot be true when max-file is less than 2 or max-size is not set");
	}
	return { maxSize, maxFiles, ...(compressed && { compress: true }) };
}

function localLimits(options: Options) {
	const maxSize = options["max-size"] ? sizeOf("max-size", options["max-size"]) : LOCAL.maxSize;
	const maxFiles = options["max-file"] ? fileCount(options["max-file"]) : LOCAL.maxFiles;
	const compress = options.compress ? truth("compress", options.compress) : LOCAL.compress;
	if (maxSize <= 0) throw invalid("max size should be a positive number");
	if (compress && maxFiles === 1) throw invalid("compression cannot be enabled when max file count is 1");
	return { maxSize, maxFiles, compress };
}

/** The copy that `docker logs` reads where the driver itself cannot be read. */
function cacheOf(options: Options, path: string) {
	const of = (name: string) => options[`cache-${name}`] ?? "";
	const disabled = of("disabled");
	if (disabled !== "" && !TRUTH.test(disabled)) throw invalid(`invalid value for option cache-disabled: ${disabled}`);
	const limits = localLimits({ "max-size": of("max-size"), "max-file": of("max-file"), compress: of("compress") });
	return /^(1|t|true)$/i.test(disabled) ? undefined : { path, ...limits };
}

function bufferBytes(options: Options): number | undefined {
	const { mode = "", "max-buffer-size": size } = options;
	if (!["", "blocking", "non-blocking"].includes(mode)) throw invalid(`logger: logging mode not supported: ${mode}`);
	if (mode === "non-blocking") {
		const bytes = size === undefined ? BUFFER_BYTES : parseSize(size);
		if (bytes === undefined) throw invalid(`error parsing option max-buffer-size: invalid size: '${size}'`);
		return bytes;
	}
	if (size === undefined) return undefined;
	throw invalid("logger: max-buffer-size option is only supported with 'mode=non-blocking'");
}

function journalFields(record: ContainerRecord, attributes: Readonly<Record<string, string>>): Record<string, string> {
	const tag = logTag(record.hostConfig.LogConfig.Config.tag || DEFAULT_TAG, record);
	const extra = Object.entries(attributes).map(([name, value]) => [journalName(name), value]);
	return {
		CONTAINER_ID: record.id.slice(0, 12),
		CONTAINER_ID_FULL: record.id,
		CONTAINER_NAME: record.name,
		CONTAINER_TAG: tag,
		IMAGE_NAME: record.config.Image,
		SYSLOG_IDENTIFIER: tag,
		...Object.fromEntries(extra),
	};
}

/** Names of fields have capital letters, digits and underscores, and do not begin with one. */
function journalName(name: string): string {
	return name
		.toUpperCase()
		.replace(/[^A-Z0-9]/g, "_")
		.replace(/^[_0-9]+/, "");
}

const TRUTH = /^(1|t|true|0|f|false)$/i;

/** Go's ParseBool. */
function truth(option: string, value: string): boolean {
	if (TRUTH.test(value)) return /^[1t]/i.test(value);
	throw invalid(
		`error reading ${option} log option: strconv.ParseBool: parsing ${JSON.stringify(value)}: invalid syntax`,
	);
}

function fileCount(value: string): number {
	if (/^[1-9]\d{0,8}$/.test(value)) return Number(value);
	throw invalid(`max-file cannot be less than 1: ${value}`);
}

function sizeOf(option: string, value: string): number {
	const bytes = parseSize(value);
	if (bytes === undefined) throw invalid(`invalid value for ${option}: ${value}: invalid size: '${value}'`);
	return bytes;
}

const UNITS: Record<string, number> = { "": 1, k: 1024, m: 1024 ** 2, g: 1024 ** 3, t: 1024 ** 4, p: 1024 ** 5 };

/** docker's RAMInBytes. */
function parseSize(value: string): number | undefined {
	const match = /^(\d+(?:\.\d+)?) ?([kmgtp]?)i?b?$/i.exec(value);
	return match ? Math.floor(Number(match[1]) * (UNITS[(match[2] ?? "").toLowerCase()] ?? 1)) : undefined;
}
