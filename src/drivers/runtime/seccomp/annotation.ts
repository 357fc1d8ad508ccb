import { release } from "node:os";
import { compileProfile } from "./compile.ts";
import { defaultProfile } from "./profile.ts";
import { parseProfile, readProfileJson } from "./profile-json.ts";

/** What `--security-opt seccomp=` chose; `json` is the text of a profile in docker's form. */
export type SeccompChoice = "default" | "unconfined" | { readonly json: string };

const cache = new Map<string, string>();

/**
 * Annotations for a container's spec that make crun install the filter, compiled here once per set of capabilities (crun would compile
 * `linux.seccomp` at every start). Empty for unconfined. Throws EngineError on a faulty profile.
 * @param capabilities those the container gets, as in the spec: `CAP_CHOWN`
 */
export function seccompAnnotation(choice: SeccompChoice, capabilities: readonly string[]): Record<string, string> {
	if (choice === "unconfined") return {};
	if (choice !== "default") {
		const facts = { capabilities, architecture: process.arch, kernel: release() };
		return annotate(compileProfile(parseProfile(readProfileJson(choice.json), facts), process.arch));
	}
	const key = [...capabilities].sort().join(" ");
	const known = cache.get(key);
	if (known !== undefined) return { [ANNOTATION]: known };
	const made = annotate(compileProfile(defaultProfile(capabilities, process.arch), process.arch));
	cache.set(key, made[ANNOTATION] ?? "");
	return made;
}

const ANNOTATION = "run.oci.seccomp_bpf_data";

function annotate(filter: Uint8Array): Record<string, string> {
	return { [ANNOTATION]: Buffer.from(filter).toString("base64") };
}
