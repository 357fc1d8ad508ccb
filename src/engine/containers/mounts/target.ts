import { posix } from "node:path";
import { EngineError } from "../../../shared/errors.ts";

/** A mount's clean path in the container; `prefix` is what docker says before the reason. */
export function cleanTarget(target: string, prefix: string): string {
	const invalid = (reason: string) => new EngineError("invalid", `${prefix}${reason}`);
	if (!target.startsWith("/")) throw invalid(`invalid mount path: '${target}' mount path must be absolute`);
	const clean = cleanPath(target);
	if (clean === "/") throw invalid("invalid specification: destination can't be '/'");
	return clean;
}

/** Go's filepath.Clean of an absolute path. */
export function cleanPath(path: string): string {
	return posix.normalize(path).replace(/(.)\/$/, "$1");
}
