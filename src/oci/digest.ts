import { createHash } from "node:crypto";
import { EngineError } from "../shared/errors.ts";

/** `sha256:` and 64 lower-case hex digits. */
export function isDigest(text: string): boolean {
	return /^sha256:[0-9a-f]{64}$/.test(text);
}

/** The sha256 digest of these bytes in its usual form. */
export function digestOf(bytes: Uint8Array | string): string {
	return `sha256:${createHash("sha256").update(bytes).digest("hex")}`;
}

/** The chainIDs of these diffIDs, base first. Source: OCI image spec, config.md, "Layer ChainID". */
export function chainIds(diffIds: readonly string[]): string[] {
	const chain: string[] = [];
	for (const diffId of diffIds) {
		const parent = chain.at(-1);
		chain.push(parent === undefined ? diffId : digestOf(`${parent} ${diffId}`));
	}
	return chain;
}

/** The text itself when it is a sha256 digest; "invalid" otherwise. */
export function requireDigest(text: unknown, what: string): string {
	if (typeof text === "string" && isDigest(text)) return text;
	throw new EngineError("invalid", `invalid ${what} digest ${JSON.stringify(text)}: allowed is sha256:<64 hex digits>`);
}
