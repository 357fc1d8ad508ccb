import { expect, test } from "bun:test";
import { EngineError } from "../../shared/errors.ts";
import { execFailure, ofDirectory, runtimeRefusal, startFailure } from "./start-failure.ts";

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

const TASK = "failed to create task for container: failed to create shim task: OCI runtime create failed: ";
const INIT = "unable to start container process: error during container init: ";
const HINT =
	": Are you trying to mount a directory onto a file (or vice-versa)? Check if the specified host path exists and is the expected type";
const runc = (text: string) => `OCI runtime create failed: runc run failed: ${INIT}${text}`;

test.each([
	[runc('exec: "run": executable file not found in $PATH'), 127, 'exec: "run": executable file not found in $PATH'],
	[runc('exec: "run": stat run: no such file or directory'), 127, 'exec: "run": stat run: no such file or directory'],
	[runc('exec: "/run": permission denied'), 126, 'exec: "/run": permission denied'],
	[
		runc('chdir to cwd ("/gone") set in config.json failed: no such file or directory'),
		127,
		'chdir to cwd ("/gone") set in config.json failed: no such file or directory',
	],
])("a command that cannot run, told by runc as by docker: %s", (text, exitCode, said) => {
	const failure = startFailure(new EngineError("invalid", text), { path: /"(.*run)"/.exec(text)?.[1] ?? "run" });
	expect(failure).toMatchObject({
		exitCode,
		error: { code: "invalid", message: `${TASK}runc create failed: ${INIT}${said}` },
	});
});

test.each([
	["OCI runtime create failed: mount `/x`: Invalid argument", "mount `/x`: Invalid argument"],
	[runc("mounting x: invalid argument"), `runc create failed: ${INIT}mounting x: invalid argument`],
])("what is not the command's fault is the machine's: %s", (text, said) => {
	const failure = startFailure(new EngineError("internal", text), { path: "run" });
	expect(failure).toMatchObject({ exitCode: 128, error: { code: "internal", message: `${TASK}${said}` } });
});

test("what is not a directory gets docker's hint and exit code, whichever runtime tells it", () => {
	const made = startFailure(new EngineError("internal", runc("mkdir /etc/passwd: not a directory")), { path: "run" });
	expect(made.exitCode).toBe(127);
	expect(made.error.message).toBe(`${TASK}runc create failed: ${INIT}mkdir /etc/passwd: not a directory${HINT}`);
	const crun = "OCI runtime create failed: mount `/a` to `b`: not a directory";
	const other = startFailure(new EngineError("internal", crun), { path: "run" });
	expect(other.exitCode).toBe(127);
	expect(other.error.message).toBe(`${TASK}mount \`/a\` to \`b\`: not a directory${HINT}`);
});

test("what the engine itself refuses is told as it is", () => {
	const own = new EngineError("internal", 'OCI runtime "gone" is not installed');
	expect(startFailure(own, { path: "run" })).toEqual({ exitCode: 128, error: own });
});

test.each([
	['exec: "x": executable file not found in $PATH', 127],
	['exec: "/x": permission denied', 126],
	['chdir to cwd ("/etc/passwd") set in config.json failed: not a directory', 127],
])("an exec's command that cannot run has docker's exit code: %s", (text, exitCode) => {
	const told = `OCI runtime exec failed: exec failed: unable to start container process: ${text}`;
	const failure = execFailure(new EngineError("invalid", told), text.includes("/x") ? "/x" : "x");
	expect(failure.exitCode).toBe(exitCode);
	expect(failure.error.message).toStartWith(told);
});

test("an exec that the engine refuses in the runtime's stead has docker's 128", () => {
	const refusal = runtimeRefusal("Cwd must be an absolute path");
	expect(execFailure(refusal, "x")).toEqual({ exitCode: 128, error: refusal });
});
