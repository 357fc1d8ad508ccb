import { expect, test } from "bun:test";
import { filesystemName, parseOsRelease } from "./system-facts.ts";

test("file systems have docker's names, also where the kernel's number has its top bit set", () => {
	expect(filesystemName(0xef53)).toBe("extfs");
	expect(filesystemName(0x9123683e | 0)).toBe("btrfs");
	expect(filesystemName(1)).toBe("<unknown>");
});

test("os-release values come with and without quotes", () => {
	expect(parseOsRelease("ID=debian\nPRETTY_NAME=\"Debian 12\"\nX='y'\n# no\n")).toEqual({
		ID: "debian",
		PRETTY_NAME: "Debian 12",
		X: "y",
	});
});
