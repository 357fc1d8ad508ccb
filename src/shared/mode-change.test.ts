import { expect, test } from "bun:test";
import { parseModeChange } from "./mode-change.ts";

test.each([
	["755", 0o644, false, 0o755],
	["04755", 0o644, false, 0o4755],
	["0", 0o644, false, 0],
	["u=rwX,go=rX", 0o600, false, 0o644],
	["u=rwX,go=rX", 0o700, true, 0o755],
	["+x", 0o644, false, 0o755],
	["a-w", 0o777, false, 0o555],
	["go-rwx,u+s", 0o755, false, 0o4700],
	["g=u", 0o750, false, 0o770],
	["o+t", 0o777, true, 0o1777],
	["u+x-w", 0o600, false, 0o500],
])("%s of %o (directory: %p) is %o", (text, mode, isDirectory, result) => {
	expect(parseModeChange(text)?.(mode, isDirectory)).toBe(result);
});

test.each(["", "8", "rwx", "u", "77777", "u=q", "u+x,", "-1"])("%j is none", (text) => {
	expect(parseModeChange(text)).toBeUndefined();
});
