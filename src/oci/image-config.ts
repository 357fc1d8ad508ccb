import { EngineError } from "../shared/errors.ts";
import { requireDigest } from "./digest.ts";
import type { ImageConfig } from "./image.ts";
import { parseObject } from "./manifest.ts";

const TEXTS = ["architecture", "os", "variant", "created", "author", "comment", "os.version", "docker_version"];

/** Parses an image's configuration and checks all that the engine reads of it. Throws "invalid". */
export function parseImageConfig(json: string): ImageConfig {
	const value = parseObject(json, "image config");
	const rootfs = value.rootfs;
	if (typeof rootfs !== "object" || rootfs === null) bad("rootfs", rootfs);
	const { diff_ids: diffIds = [] } = rootfs as { diff_ids?: unknown };
	if (diffIds !== null && !Array.isArray(diffIds)) bad("rootfs.diff_ids", diffIds);
	const run = value.config ?? undefined;
	if (run !== undefined) checkRunConfig(run);
	checkHistory(value.history ?? []);
	for (const name of TEXTS) checkField(value, name, "", isText);
	const { created } = value;
	if (typeof created === "string" && Number.isNaN(Date.parse(created))) bad("created", created);
	return {
		...(value as unknown as ImageConfig),
		architecture: typeof value.architecture === "string" ? value.architecture : "",
		os: typeof value.os === "string" && value.os !== "" ? value.os : "linux",
		config: run as ImageConfig["config"],
		history: (value.history ?? undefined) as ImageConfig["history"],
		rootfs: { type: "layers", diff_ids: (diffIds ?? []).map((id: unknown) => requireDigest(id, "layer")) },
	};
}

/** Of an image that an earlier version took, which checked less: it stays, and can be removed; what it says of its containers is left out. */
export function parseStoredConfig(json: string): ImageConfig {
	try {
		return parseImageConfig(json);
	} catch (error) {
		if (!(error instanceof EngineError)) throw error;
		const { rootfs, architecture, os } = JSON.parse(json);
		return parseImageConfig(JSON.stringify({ rootfs, architecture, os }));
	}
}

function checkRunConfig(run: unknown): void {
	const fields = objectAt("config", run);
	for (const name of ["User", "WorkingDir", "StopSignal"]) checkField(fields, name, "config.", isText);
	for (const name of ["Env", "Entrypoint", "Cmd", "Shell", "OnBuild"]) checkField(fields, name, "config.", isTextList);
	for (const name of ["ExposedPorts", "Volumes"]) checkField(fields, name, "config.", isMapOf(isMapOf(() => true)));
	checkField(fields, "Labels", "config.", isMapOf(isText));
	checkField(fields, "ArgsEscaped", "config.", isFlag);
	checkField(fields, "StopTimeout", "config.", isCount);
	const check = objectAt("config.Healthcheck", fields.Healthcheck ?? {});
	checkField(check, "Test", "config.Healthcheck.", isTextList);
	for (const name of ["Interval", "Timeout", "StartPeriod", "StartInterval", "Retries"])
		checkField(check, name, "config.Healthcheck.", isCount);
}

function checkHistory(history: unknown): void {
	if (!Array.isArray(history)) bad("history", history);
	for (const [at, one] of history.entries()) {
		const entry = objectAt(`history[${at}]`, one);
		for (const name of ["created", "created_by", "author", "comment"])
			checkField(entry, name, `history[${at}].`, isText);
		checkField(entry, "empty_layer", `history[${at}].`, isFlag);
	}
}

/** What is of another type than clients' decoders have would fail their whole list of images, not this one alone. Absent and null pass. */
function checkField(
	fields: Record<string, unknown>,
	name: string,
	prefix: string,
	fits: (value: unknown) => boolean,
): void {
	const value = fields[name];
	if (value !== undefined && value !== null && !fits(value)) bad(prefix + name, value);
}

const isText = (value: unknown) => typeof value === "string";
const isFlag = (value: unknown) => typeof value === "boolean";
const isCount = (value: unknown) => Number.isSafeInteger(value);
const isTextList = (value: unknown) => Array.isArray(value) && value.every(isText);
const isMapOf = (fits: (value: unknown) => boolean) => (value: unknown) =>
	isObject(value) && Object.values(value).every((one) => one === null || fits(one));

function isObject(value: unknown): value is Record<string, unknown> {
	return typeof value === "object" && value !== null && !Array.isArray(value);
}

function objectAt(field: string, value: unknown): Record<string, unknown> {
	return isObject(value) ? value : bad(field, value);
}

function bad(field: string, value: unknown): never {
	throw new EngineError("invalid", `invalid image config: ${field} is ${JSON.stringify(value) ?? "missing"}`);
}
