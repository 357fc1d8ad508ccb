import { expect, test } from "bun:test";
import { firstError, runtimeError } from "./oci-runtime.ts";

test.each([
	"executable file `nope` not found in $PATH: No such file or directory",
	"open executable: Permission denied",
	"exec container process `/bin/x`: Exec format error",
	"chdir to `/proc/self/fd/9`: No such file or directory",
	'runc create failed: unable to start container process: exec: "x": stat x: no such file or directory',
	'runc create failed: unable to start container process: chdir to cwd ("/x") set in config.json failed: no such file or directory',
])("the command is at fault: %s", (text) => {
	expect(runtimeError("create", text).code).toBe("invalid");
});

test.each([
	"openat2 `dev/null`: No such file or directory",
	"mknod `/dev/executable`: Permission denied",
	"error stat'ing file `/gone`: No such file or directory",
	"mount `/a` to `exec/b`: Not a directory",
	"the target `/proc` is invalid: Not a directory",
])("the command is not at fault: %s", (text) => {
	expect(runtimeError("create", text).code).toBe("internal");
});

test("the first error counts, in either format; crun's text is for its user to read", () => {
	const json = (level: string, msg: string) => JSON.stringify({ msg, level, time: "now" });
	expect(firstError([json("warning", "w"), json("error", "first"), json("error", "second")].join("\n"))).toBe("first");
	expect(firstError("open executable: Permission denied\ncleaning up failed too\n")).toBe(
		"open executable: Permission denied",
	);
	expect(firstError("")).toBe("");
});
