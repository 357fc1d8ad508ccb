import { accessSync, constants } from "node:fs";
import { EngineError } from "../shared/errors.ts";

const PLACES = ["/usr/bin", "/usr/local/bin", "/usr/sbin", "/bin"];

/** The OCI runtime of this machine: crun from PATH or the usual places. "unavailable" names what to install. */
export function findRuntime(path = process.env.PATH ?? ""): { name: string; path: string; version: string } {
	const found = [...path.split(":"), ...PLACES].map((place) => `${place}/crun`).find(isExecutable);
	if (!found) throw new EngineError("unavailable", "no OCI runtime found: install crun (Debian package crun)");
	return { name: "crun", path: found, version: versionOf(found) };
}

function isExecutable(path: string): boolean {
	try {
		accessSync(path, constants.X_OK);
		return path.startsWith("/");
	} catch {
		return false;
	}
}

/** `crun version 1.8.1` on its first line. */
function versionOf(path: string): string {
	const { stdout } = Bun.spawnSync([path, "--version"]);
	return /version (\S+)/.exec(stdout.toString())?.[1] ?? "unknown";
}
