import { expect, test } from "bun:test";
import { parsePlatform } from "./platform.ts";

test.each([
	["linux/arm64/v8", { os: "linux", architecture: "arm64", variant: "v8" }],
	["Linux/x86_64", { os: "linux", architecture: "amd64" }],
	["aarch64", { os: "linux", architecture: "arm64" }],
	["windows", { os: "windows", architecture: "riscv64" }],
])("a platform is read as containerd reads it: %s", (text, platform) => {
	expect(parsePlatform(text, "riscv64")).toEqual(platform);
});

test.each([
	["bad", '"bad": unknown operating system or architecture: invalid argument'],
	["a/b/c/d", '"a/b/c/d": cannot parse platform specifier: invalid argument'],
	["linux//v8", "cannot parse platform specifier"],
])("what is none is refused: %s", (text, message) => {
	expect(() => parsePlatform(text)).toThrow(message);
});
