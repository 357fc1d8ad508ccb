import { EngineError } from "../shared/errors.ts";
import { requireDigest } from "./digest.ts";
import type { ImageConfig } from "./image.ts";
import { parseObject } from "./manifest.ts";

/** Parses an image's configuration and checks all that the engine reads of it. Throws "invalid". */
export function parseImageConfig(json: string): ImageConfig {
	const value = parseObject(json, "image config");
	const rootfs = value.rootfs;
	if (typeof rootfs !== "object" || rootfs === null) bad("rootfs", rootfs);
	const { diff_ids: diffIds = [] } = rootfs as { diff_ids?: unknown };
	if (diffIds !== null && !Array.isArray(diffIds)) bad("rootfs.diff_ids", diffIds);
	const run = value.config ?? undefined;
	if (run !== undefined) checkRunConfig(run);
	if (value.history !== undefined && value.history !== null && !Array.isArray(value.history))
		bad("history", value.history);
	for (const name of ["architecture", "os", "variant", "created", "author"]) {
		if (value[name] !== undefined && value[name] !== null && typeof value[name] !== "string") bad(name, value[name]);
	}
	return {
		...(value as unknown as ImageConfig),
		architecture: typeof value.architecture === "string" ? value.architecture : "",
		os: typeof value.os === "string" && value.os !== "" ? value.os : "linux",
		config: run as ImageConfig["config"],
		history: (value.history ?? undefined) as ImageConfig["history"],
		rootfs: { type: "layers", diff_ids: (diffIds ?? []).map((id: unknown) => requireDigest(id, "layer")) },
	};
}

function checkRunConfig(run: unknown): void {
	if (typeof run !== "object" || run === null || Array.isArray(run)) bad("config", run);
	const fields = run as Record<string, unknown>;
	for (const name of ["User", "WorkingDir", "StopSignal"]) {
		if (fields[name] !== undefined && fields[name] !== null && typeof fields[name] !== "string")
			bad(`config.${name}`, fields[name]);
	}
	for (const name of ["Env", "Entrypoint", "Cmd", "Shell", "OnBuild"]) {
		const list = fields[name] ?? [];
		if (!Array.isArray(list) || !list.every((one) => typeof one === "string")) bad(`config.${name}`, list);
	}
	for (const name of ["ExposedPorts", "Volumes", "Labels"]) {
		const map = fields[name] ?? {};
		if (typeof map !== "object" || Array.isArray(map)) bad(`config.${name}`, map);
	}
}

function bad(field: string, value: unknown): never {
	throw new EngineError("invalid", `invalid image config: ${field} is ${JSON.stringify(value) ?? "missing"}`);
}
