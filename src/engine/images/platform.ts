import type { Platform } from "../../oci/manifest.ts";
import { EngineError } from "../../shared/errors.ts";
import type { ImageRecord } from "./contract.ts";

export function platformText({ os, architecture, variant }: Platform): string {
	return [os, architecture, variant].filter(Boolean).join("/");
}

/** Whether something built for `one` is what was asked for; v8 is what arm64 means when it says nothing. */
export function samePlatform(one: Platform, wanted: Platform): boolean {
	if (one.os !== wanted.os || one.architecture !== wanted.architecture) return false;
	return wanted.variant === undefined || variantOf(one) === variantOf(wanted);
}

/** Throws "not-found" in docker's words. */
export function requirePlatform(image: ImageRecord, ref: string, wanted: Platform): void {
	if (samePlatform(image.config, wanted)) return;
	throw new EngineError(
		"not-found",
		`image with reference ${ref} was found but its platform (${platformText(image.config)}) does not match the specified platform (${platformText(wanted)})`,
	);
}

function variantOf({ architecture, variant }: Platform): string {
	const normal = { amd64: "v1", arm64: "v8", arm: "v7" }[architecture] ?? "";
	return variant || normal;
}
