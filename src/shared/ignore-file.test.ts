import { expect, test } from "bun:test";
import { ignorePatterns, isIgnored } from "./ignore-file.ts";

test.each([
	["Dockerfile", "Dockerfile", true],
	["Dockerfile", "# Dockerfile", false],
	["Dockerfile", "*", true],
	["a/b", "*", true],
	["a/b", "b", false],
	["a/b", "**/b", true],
	["b", "**/b", true],
	["a/b/c", "a/**", true],
	["a/b/c", "a/**/c", true],
	["a/c", "a/**/c", true],
	["a/b", "a", true],
	["a.go", "*.go", true],
	["x/a.go", "*.go", false],
	["x/a.go", "*/*.go", true],
	["abc", "a?c", true],
	["abc", "a[a-c]c", true],
	["a.c", "a\\.c", true],
	["axc", "a.c", false],
	["a", "/a/", true],
	["a", "./x/../a", true],
	["Dockerfile", "*\n!Dockerfile", false],
	["a/b", "a\n!a/b", false],
	["a/b", "!a/b\na", true],
	["a", "\uFEFFa", true],
	["xb", "**b", true],
	["a/b/c.txt", "**\n!**/*.txt", false],
	["a/b/c.txt", "*\n!a/b\na/b/c.txt", true],
	["a/b", "  a  ", true],
	["a", "!", false],
	["node_modules/x/y", "**/node_modules", true],
	["src/node_modules/x/y", "**/node_modules", true],
	["a{1}", "a{1}", true],
])("%p with %j: %p", (path, file, ignored) => {
	expect(isIgnored(path, file)).toBe(ignored);
});

test("the patterns of a file: cleaned, comments and empty lines left out, ! kept", () => {
	expect(ignorePatterns("# no\n\n/a/\n! ./b/../c \n**/*.go\n")).toEqual(["a", "!c", "**/*.go"]);
});
