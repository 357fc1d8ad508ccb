import { EngineError } from "../../shared/errors.ts";

export const ANONYMOUS_LABEL = "com.docker.volume.anonymous";
const PATTERN = /^[a-zA-Z0-9][a-zA-Z0-9_.-]*$/;
/** The name becomes a directory's. */
const MAX_LENGTH = 255;

/** Throws "invalid" in docker's words. */
export function checkVolumeName(name: string): void {
	const invalid = (why: string) => new EngineError("invalid", `create ${name}: ${why}`);
	if (Buffer.byteLength(name) === 1) {
		throw invalid("volume name is too short, names should be at least two alphanumeric characters");
	}
	if (!PATTERN.test(name)) {
		throw invalid(
			`${JSON.stringify(name)} includes invalid characters for a local volume name, only "[a-zA-Z0-9][a-zA-Z0-9_.-]" are allowed. If you intended to pass a host directory, use absolute path`,
		);
	}
	if (name.length > MAX_LENGTH) throw invalid(`file name too long: ${name.length} bytes, ${MAX_LENGTH} are allowed`);
}
