import { expect, test } from "bun:test";
import { EngineError } from "../../shared/errors.ts";
import { execFailure, ofDirectory, startFailure } from "./start-failure.ts";

const EXEC = "OCI runtime exec failed: exec failed: unable to start container process: ";
const ENOTDIR =
	"not a directory: Are you trying to mount a directory onto a file (or vice-versa)? Check if the specified host path exists and is the expected type";

test.each([
	["/d", "open executable: permission denied", 126, 'exec: "/d": permission denied'],
	["/d", "open executable: is a directory", 126, 'exec: "/d": is a directory: permission denied'],
	["dir", "open executable: permission denied", 127, 'exec: "dir": executable file not found in $PATH'],
	[".", "open executable: permission denied", 127, 'exec: ".": executable file not found in $PATH'],
	["/f/x", "open executable: not a directory", 127, `exec: "/f/x": stat /f/x: ${ENOTDIR}`],
	["/x", 'exec: "/x": executable file not found in $PATH', 127, 'exec: "/x": stat /x: no such file or directory'],
	["sh", "chdir `/f`: not a directory", 127, `chdir to cwd ("/f") set in config.json failed: ${ENOTDIR}`],
	["sh", "chdir `/p`: permission denied", 126, 'chdir to cwd ("/p") set in config.json failed: permission denied'],
	[
		"sh",
		"chdir to `/n`: no such file or directory",
		127,
		'chdir to cwd ("/n") set in config.json failed: no such file or directory',
	],
])("an exec of %p: %s", (command, said, exitCode, text) => {
	const failure = execFailure(new EngineError("invalid", `OCI runtime exec failed: ${said}`), command);
	expect([failure.exitCode, failure.error.message, failure.error.code]).toEqual([exitCode, EXEC + text, "invalid"]);
	expect(
		startFailure(new EngineError("invalid", `OCI runtime create failed: ${said}`), { path: command }),
	).toMatchObject({
		exitCode,
		error: { code: "invalid", message: expect.stringContaining(`error during container init: ${text}`) },
	});
});

test("a directory is told from a file that cannot be run, from the directory the process would be in", () => {
	const error = new EngineError("invalid", "OCI runtime exec failed: open executable: permission denied");
	const asked: string[] = [];
	const isDirectory = (path: string) => asked.push(path) > 0;
	expect(ofDirectory(error, "./d", "/work", isDirectory)).toMatchObject({
		code: "invalid",
		message: "OCI runtime exec failed: open executable: is a directory",
	});
	expect(asked).toEqual(["/work/d"]);
	expect(ofDirectory(error, "/f", "/", () => false)).toBe(error);
	expect(ofDirectory(error, "d", "/", isDirectory)).toBe(error);
	const chdir = new EngineError("invalid", "OCI runtime exec failed: chdir `/p`: permission denied");
	expect(ofDirectory(chdir, "/d", "/p", isDirectory)).toBe(chdir);
});
