import { afterAll, beforeEach, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createLogger } from "../shared/log.ts";
import { MachineRuntimes } from "./runtimes.ts";

const directory = mkdtempSync(join(tmpdir(), "fd-runtimes-"));
const lines: Record<string, unknown>[] = [];
const log = createLogger("info", {}, (line) => lines.push(JSON.parse(line)));

beforeEach(() => void lines.splice(0));
afterAll(() => rmSync(directory, { recursive: true }));

/** An executable that says this of itself. */
function program(name: string, version: string, features?: string): string {
	const path = `${directory}/${name}`;
	const answer = features === undefined ? "exit 1" : `echo '${features}'`;
	writeFileSync(path, `#!/bin/sh\ncase $1 in --version) printf '${version}' ;; *) ${answer} ;; esac\n`, {
		mode: 0o755,
	});
	return path;
}

const added = (name: string, path: string, args: string[] = []) => ({ name, path, args });
const make = (runtimes: ReturnType<typeof added>[], defaultRuntime?: string) =>
	new MachineRuntimes({ runtimes, defaultRuntime, searchPath: directory });

test("what runs a container is known by what it says of itself, not by its name", async () => {
	const crun = program("one", "crun version 9.1\\ncommit: abc\\n");
	const runc = program("two", "runc version 1.9.2\\n");
	const wrapper = program("three", "Wrapper version 1\\nrunc version 1.9.2\\n");
	const runtimes = make([added("a", crun), added("b", runc, ["--debug"]), added("c", wrapper)], "a");
	expect(await runtimes.find("a")).toEqual({ path: crun, args: [], family: "crun" });
	expect(await runtimes.find("b")).toEqual({ path: runc, args: ["--debug"], family: "runc" });
	expect((await runtimes.find("c")).family).toBe("other");
});

test("info has every runtime, with its features, and the default's version", async () => {
	const runtimes = make(
		[
			added("crun", program("crun", "crun version 9.1\\ncommit: abc\\n")),
			added("runc", program("runc", "runc version 1.9.2\\n", '{ "a": 1 }')),
		],
		"crun",
	);
	await runtimes.open(log);
	expect(runtimes.facts()).toEqual({
		defaultName: "crun",
		program: { name: "crun", version: "9.1", commit: "abc" },
		all: [
			{ name: "crun", path: `${directory}/crun`, args: [] },
			{ name: "runc", path: `${directory}/runc`, args: [], features: '{"a":1}' },
			{ name: "io.containerd.runc.v2", path: `${directory}/runc`, args: [], features: '{"a":1}' },
		],
	});
});

test("programs in PATH are runtimes, crun before runc; a setting takes the name over", async () => {
	program("crun", "crun version 9.1\\n");
	const other = program("crun-new", "crun version 9.9\\n");
	expect((await make([]).find("crun")).path).toBe(`${directory}/crun`);
	expect(make([]).defaultName).toBe("crun");
	expect((await make([added("crun", other)]).find("crun")).path).toBe(other);
});

test("a default that is none of them is refused", () => {
	expect(() => make([], "kata")).toThrow("specified default runtime 'kata' does not exist: known are ");
});

test("one that is not there is a warning, and an error for who needs it, until it is there", async () => {
	const path = `${directory}/late`;
	const runtimes = make([added("late", path)]);
	await runtimes.open(log);
	expect(lines).toMatchObject([{ level: "warn", name: "late", path }]);
	expect(runtimes.has("late")).toBe(true);
	await expect(runtimes.find("late")).rejects.toThrow(
		`OCI runtime "late" is not installed: ${path} is no executable file`,
	);
	program("late", "runc version 1.0\\n");
	expect((await runtimes.find("late")).family).toBe("runc");
	rmSync(path);
	await expect(runtimes.find("late")).rejects.toMatchObject({ code: "internal" });
});

test("one that was replaced is asked again", async () => {
	const path = program("changing", "runc version 1.0\\n");
	const runtimes = make([added("x", path)]);
	expect((await runtimes.find("x")).family).toBe("runc");
	rmSync(path);
	program("changing", "crun version 1.0\\ncommit: other\\n");
	expect((await runtimes.find("x")).family).toBe("crun");
});

test("an unknown name is told in docker's words", async () => {
	const runtimes = make([]);
	expect(runtimes.has("nosuch")).toBe(false);
	await expect(runtimes.find("nosuch")).rejects.toMatchObject({
		code: "invalid",
		message: "unknown or invalid runtime name: nosuch",
	});
});
