import type { Platform } from "../../oci/manifest.ts";
import { EngineError } from "../../shared/errors.ts";
import type { ImageRecord } from "./contract.ts";

export function platformText({ os, architecture, variant }: Platform): string {
	return [os, architecture, variant].filter(Boolean).join("/");
}

const SYSTEMS =
	"aix android darwin dragonfly freebsd illumos ios js linux netbsd openbsd plan9 solaris wasip1 windows".split(" ");
const MACHINES = "386 amd64 arm arm64 loong64 mips mips64 mips64le mipsle ppc64 ppc64le riscv64 s390x wasm".split(" ");
/** What uname and others call them. */
const OTHER_NAMES: Readonly<Record<string, string>> = {
	x86_64: "amd64",
	"x86-64": "amd64",
	aarch64: "arm64",
	i386: "386",
	armhf: "arm",
	armel: "arm",
	macos: "darwin",
};

/** `linux/arm64/v8`, `linux` or `arm64`; "invalid" in docker's words. Source: containerd, platforms.Parse. */
export function parsePlatform(text: string, own = process.arch === "x64" ? "amd64" : process.arch): Platform {
	const refuse = (why: string) => new EngineError("invalid", `${JSON.stringify(text)}: ${why}: invalid argument`);
	const parts = text.toLowerCase().split("/");
	const word = parts.find((part) => !/^[a-z0-9_.-]+$/.test(part));
	if (word !== undefined || parts.length > 3) throw refuse("cannot parse platform specifier");
	const [first = "", second, variant] = parts.map((part) => OTHER_NAMES[part] ?? part);
	if (second !== undefined) return { os: first, architecture: second, ...(variant && { variant }) };
	if (SYSTEMS.includes(first)) return { os: first, architecture: own };
	if (MACHINES.includes(first)) return { os: "linux", architecture: first };
	throw refuse("unknown operating system or architecture");
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
