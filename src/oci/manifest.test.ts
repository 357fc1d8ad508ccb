import { expect, test } from "bun:test";
import { hostPlatform, parseManifestOrIndex, parsePlatform } from "./manifest.ts";

test("platforms are read as docker reads them, with the host's for what is not said", () => {
	expect(parsePlatform("linux/arm64/v8")).toEqual({ os: "linux", architecture: "arm64", variant: "v8" });
	expect(parsePlatform("linux")).toEqual(hostPlatform());
	expect(parsePlatform("aarch64")).toEqual({ os: "linux", architecture: "arm64", variant: undefined });
	expect(parsePlatform("Linux/armhf")).toEqual({ os: "linux", architecture: "arm", variant: "v7" });
	for (const bad of ["", "a/b/c/d", "linux/", "linux/arm 64"])
		expect(() => parsePlatform(bad)).toThrow("invalid platform");
});

test("a document that could be read in two ways, or is not what it says, is refused", () => {
	const digest = `sha256:${"a".repeat(64)}`;
	const config = { mediaType: "c", digest, size: 1 };
	const list = "application/vnd.docker.distribution.manifest.list.v2+json";
	expect(parseManifestOrIndex(JSON.stringify({ config, layers: [config] }), "x")).toMatchObject({ mediaType: "" });
	for (const bad of [
		{ config, layers: [], manifests: [] },
		{ mediaType: list, config, layers: [] },
		{ mediaType: "application/vnd.oci.image.manifest.v1+json", manifests: [] },
		{ config: { ...config, digest: "sha256:../../x" }, layers: [] },
		{},
		[],
	]) {
		expect(() => parseManifestOrIndex(JSON.stringify(bad), "x")).toThrow(/^invalid/);
	}
	const twice = `{"config":${JSON.stringify(config)},"layers":[],"layers":[${JSON.stringify(config)}]}`;
	expect(() => parseManifestOrIndex(twice, "x")).toThrow('invalid x: duplicate key "layers"');
});
