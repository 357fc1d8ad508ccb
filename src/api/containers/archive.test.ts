import { expect, test } from "bun:test";
import { absolutePath } from "../../engine/containers/archive.ts";
import { goFileMode } from "./archive.ts";

test.each([
	[0o100755, 0o755],
	[0o104755, 8389101],
	[0o040755, 2147484141],
	[0o041777, 2148532735],
	[0o120777, 134218239],
	[0o020666, 69206454],
])("mode %o in Go's bits", (mode, go) => {
	expect(goFileMode(mode)).toBe(go);
});

test.each([
	["foo", "/foo"],
	["/foo/", "/foo/"],
	["/foo/.", "/foo/."],
	["/", "/"],
	["/.", "/."],
	["../../foo//bar", "/foo/bar"],
	["/foo/../bar/./", "/bar/."],
])("path %p from the root", (path, absolute) => {
	expect(absolutePath(path)).toBe(absolute);
});
