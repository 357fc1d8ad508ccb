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

/** docker's words when the image is of another platform; undefined when it fits. */
export function platformMismatch(image: ImageRecord, ref: string, wanted: Platform): string | undefined {
	if (samePlatform(image.config, wanted)) return undefined;
	return `image with reference ${ref} was found but its platform (${platformText(image.config)}) does not match the specified platform (${platformText(wanted)})`;
}

/** Throws "not-found" unless the image is of this platform. */
export function requirePlatform(image: ImageRecord, ref: string, wanted: Platform): void {
	const mismatch = platformMismatch(image, ref, wanted);
	if (mismatch !== undefined) throw new EngineError("not-found", mismatch);
}

function variantOf({ architecture, variant }: Platform): string {
	const normal = { amd64: "v1", arm64: "v8", arm: "v7" }[architecture] ?? "";
	return variant || normal;
}
