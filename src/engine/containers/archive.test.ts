import { expect, test } from "bun:test";
import { worded } from "./archive.ts";

test.each([
	["unexpected EOF", "invalid", "cannot read the archive: unexpected EOF"],
	['"../../tmp/x" is outside of "/"', "invalid", '"../../tmp/x" is outside of "/"'],
	['"..\n/x" is outside of "/"', "invalid", "is outside of"],
	['cannot overwrite directory "/d" with non-directory "/d"', "invalid", "cannot overwrite directory"],
	["the disk is on fire", "internal", "the disk is on fire"],
])("what an archive has wrong is its sender's fault: %p", (message, code, text) => {
	expect(worded(new Error(message), "/p", "web")).toMatchObject({ code, message: expect.stringContaining(text) });
});

test("what is not there is said with docker's words", () => {
	const absent = Object.assign(new Error("openat2 /p: ENOENT"), { code: "ENOENT" });
	expect(worded(absent, "/p", "web")).toMatchObject({
		code: "not-found",
		message: "Could not find the file /p in container web",
	});
});
