import { expect, test } from "bun:test";
import { existsSync, mkdirSync, readFileSync, symlinkSync } from "node:fs";
import { EngineError } from "../../shared/errors.ts";
import { plan } from "../reconcile.ts";
import type { ContainerConfig, HostConfig } from "./config.ts";
import { containerConfig, createTestEngine, execConfig, hostConfig, type TestEngine } from "./testing/fakes.ts";

async function opened(image = {}): Promise<TestEngine> {
	const engine = createTestEngine({ image });
	await engine.open();
	return engine;
}

async function made(
	engine: TestEngine,
	host: Partial<HostConfig> = {},
	config: Partial<ContainerConfig> = {},
	name = "web",
) {
	const request = { name, config: containerConfig(config), hostConfig: hostConfig(host) };
	return (await engine.containers.create(request)).id;
}

function waitFor(engine: TestEngine, ref: string, condition: "not-running" | "next-exit" | "removed") {
	return engine.containers.wait(ref, condition, new AbortController().signal, () => {});
}

const settled = () => Bun.sleep(5);

test("create() merges the image: its command, environment, user and labels give way to the client's", async () => {
	await using engine = await opened({
		Env: ["A=1", "B=1"],
		Entrypoint: ["/e"],
		Cmd: ["x"],
		User: "web",
		Labels: { l: "i" },
	});
	const id = await made(engine, {}, { Cmd: null, Env: ["B=2"], Labels: { m: "c" } });
	const { config, path, args } = engine.containers.inspect(id);
	expect([path, args, config.User, config.Labels]).toEqual(["/e", ["x"], "web", { l: "i", m: "c" }]);
	expect(config.Env.toSorted()).toEqual(["A=1", "B=2"]);
	expect(config.Hostname).toBe(id.slice(0, 12));
});

test("create() with an entrypoint of its own drops the image's command; an empty one clears it", async () => {
	await using engine = await opened({ Entrypoint: ["/e"], Cmd: ["x"] });
	const own = engine.containers.inspect(await made(engine, {}, { Entrypoint: ["/mine"], Cmd: null }));
	expect([own.path, own.args]).toEqual(["/mine", []]);
	await expect(made(engine, {}, { Entrypoint: [""], Cmd: null }, "other")).rejects.toThrow("no command specified");
});

test("create() refuses a taken name in docker's words", async () => {
	await using engine = await opened();
	const id = await made(engine);
	await expect(made(engine)).rejects.toThrow(
		`Conflict. The container name "/web" is already in use by container "${id}". You have to remove (or rename) that container to be able to reuse that name.`,
	);
	await expect(made(engine, {}, {}, "a b")).rejects.toThrow(
		"Invalid container name (a b), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed",
	);
});

test("create() that fails half-way leaves nothing, and says where a disk is full", async () => {
	await using engine = await opened();
	engine.snapshotter.failure = Object.assign(new Error("ENOSPC"), { code: "ENOSPC" });
	await expect(made(engine)).rejects.toThrow(/cannot write .*containers.*: no space left on device/);
	await settled();
	expect(engine.containers.list()).toEqual([]);
	engine.snapshotter.failure = undefined;
	await made(engine);
});

test("a reference is an id, a prefix or a name; none is not-found", async () => {
	await using engine = await opened();
	const id = await made(engine);
	for (const ref of [id, id.slice(0, 5), "web", "/web"]) expect(engine.containers.inspect(ref).id).toBe(id);
	expect(() => engine.containers.inspect("nope")).toThrow("No such container: nope");
});

test("start() joins, mounts, writes the files and runs; again it is not modified", async () => {
	await using engine = await opened();
	const predefined = {
		id: "n",
		name: "bridge",
		driver: "bridge" as const,
		created: "",
		gateway: "10.9.0.1",
		endpoints: [],
	};
	engine.sandboxes.networks = () => [predefined];
	const id = await made(engine, { ExtraHosts: ["gw:host-gateway"] });
	await engine.containers.start(id);
	expect(engine.containers.inspect(id).state).toMatchObject({ status: "running", pid: 100 });
	expect(engine.snapshotter.mounted.has(id)).toBe(true);
	const file = (name: string) => readFileSync(`${engine.directory}/containers/${id}/${name}`, "utf8");
	expect(file("hosts")).toContain("10.9.0.1\tgw\n");
	expect(file("hosts")).toContain(`10.0.0.2\t${id.slice(0, 12)}\n`);
	expect(file("resolv.conf")).toStartWith("nameserver 127.0.0.11\n");
	await expect(engine.containers.start(id)).rejects.toMatchObject({ code: "not-modified" });
});

test.each([
	["executable file `x` not found in $PATH", 127, 'exec: "run": executable file not found in $PATH'],
	["cannot set up the console", 128, "error during container init: cannot set up the console"],
	["exec: is a directory", 126, 'exec: "run": is a directory: permission denied'],
])("start() of a command that cannot run (%s) undoes all and keeps the code", async (text, exitCode, message) => {
	await using engine = await opened();
	const id = await made(engine);
	engine.runtime.failure = new EngineError("invalid", text);
	const code = exitCode === 128 ? "internal" : "invalid";
	await expect(engine.containers.start(id)).rejects.toMatchObject({ code, message: expect.stringContaining(message) });
	await settled();
	expect(engine.containers.inspect(id).state).toMatchObject({ status: "created", exitCode });
	expect([engine.sandboxes.joined.size, engine.snapshotter.mounted.size]).toEqual([0, 0]);
});

test("start() refuses a root in which a link stands where the runtime works, and undoes all", async () => {
	await using engine = await opened();
	const id = await made(engine);
	const root = engine.snapshotter.rootOf(id);
	mkdirSync(root, { recursive: true });
	symlinkSync(engine.directory, `${root}/dev`);
	const message = "error preparing rootfs: /dev of the container is not a directory";
	await expect(engine.containers.start(id)).rejects.toMatchObject({ code: "invalid", message });
	expect([engine.runtime.started.length, engine.sandboxes.joined.size, engine.snapshotter.mounted.size]).toEqual([
		0, 0, 0,
	]);
});

test("start() undoes the mount when the network cannot be joined, and passes its error on", async () => {
	await using engine = await opened();
	const id = await made(engine);
	engine.sandboxes.failure = new EngineError("internal", "port is already allocated");
	await expect(engine.containers.start(id)).rejects.toThrow("port is already allocated");
	await settled();
	expect(engine.snapshotter.mounted.size).toBe(0);
	expect(engine.runtime.started).toEqual([]);
});

test("an exit is recorded, released and told; wait sees the code even of one faster than the start", async () => {
	await using engine = await opened();
	const id = await made(engine);
	const waiting = waitFor(engine, id, "next-exit");
	engine.runtime.quickExit = 3;
	await engine.containers.start(id);
	expect(await waiting).toMatchObject({ exitCode: 3 });
	expect(engine.containers.inspect(id).state).toMatchObject({ status: "exited", exitCode: 3, oomKilled: false });
	expect(engine.sandboxes.joined.size).toBe(0);
	expect(engine.actions()).toEqual(["create", "connect", "start", "disconnect", "die"]);
	expect(engine.seen.at(-1)?.attributes).toMatchObject({ exitCode: "3", name: "web", image: "app:1" });
	expect(await waitFor(engine, id, "not-running")).toMatchObject({ exitCode: 3 });
});

test("a wait that its client gives up is cancelled", async () => {
	await using engine = await opened();
	const id = await made(engine);
	const abort = new AbortController();
	const waiting = engine.containers.wait(id, "next-exit", abort.signal, () => abort.abort());
	await expect(waiting).rejects.toMatchObject({ code: "cancelled" });
});

test("AutoRemove takes the container away, and then wakes who waits for it", async () => {
	await using engine = await opened();
	const id = await made(engine, { AutoRemove: true });
	const waiting = waitFor(engine, id, "removed");
	await engine.containers.start(id);
	engine.runtime.exit(id, 5);
	expect(await waiting).toMatchObject({ exitCode: 5 });
	expect(engine.containers.list()).toEqual([]);
	expect(existsSync(`${engine.directory}/containers/${id}`)).toBe(false);
	expect(engine.snapshotter.prepared.size).toBe(0);
	expect(engine.actions()).toEqual(["create", "connect", "start", "disconnect", "die", "destroy"]);
});

test("stop() sends the stop signal and kills after the grace period", async () => {
	await using engine = await opened();
	const id = await made(engine, {}, { StopSignal: "SIGUSR1" });
	await engine.containers.start(id);
	await engine.containers.stop(id, { timeout: 0 });
	expect(engine.runtime.signals.map(([, signal]) => signal)).toEqual([10, 9]);
	expect(engine.containers.inspect(id)).toMatchObject({
		state: { status: "exited", exitCode: 137 },
		stoppedByUser: true,
	});
	await expect(engine.containers.stop(id, {})).rejects.toMatchObject({ code: "not-modified" });
	expect(engine.actions().slice(3)).toEqual(["kill", "kill", "disconnect", "stop", "die"]);
});

test("on-failure restarts as often as asked, then the container stays exited", async () => {
	await using engine = await opened();
	const id = await made(engine, { RestartPolicy: { Name: "on-failure", MaximumRetryCount: 1 } });
	engine.runtime.quickExit = 2;
	await engine.containers.start(id);
	await settled();
	expect(engine.containers.inspect(id).state.status).toBe("restarting");
	await Bun.sleep(130);
	expect(engine.containers.inspect(id)).toMatchObject({ restartCount: 1, state: { status: "exited", exitCode: 2 } });
});

test("stop() of one that is about to be restarted ends that", async () => {
	await using engine = await opened();
	const id = await made(engine, { RestartPolicy: { Name: "always", MaximumRetryCount: 0 } });
	await engine.containers.start(id);
	engine.runtime.exit(id, 1);
	await settled();
	await engine.containers.stop(id, {});
	await Bun.sleep(130);
	expect(engine.containers.inspect(id).state.status).toBe("exited");
	expect(engine.runtime.started).toHaveLength(1);
});

test("restart() ends and starts, and keeps one that removes itself", async () => {
	await using engine = await opened();
	const id = await made(engine, { AutoRemove: true });
	await engine.containers.start(id);
	await engine.containers.restart(id, {});
	expect(engine.containers.inspect(id)).toMatchObject({
		state: { status: "running" },
		hostConfig: { AutoRemove: true },
	});
	expect(engine.runtime.started).toHaveLength(2);
});

test("remove() of a running container needs force", async () => {
	await using engine = await opened();
	const id = await made(engine);
	await engine.containers.start(id);
	const options = { force: false, volumes: false, link: false };
	await expect(engine.containers.remove("web", options)).rejects.toThrow(
		'cannot remove container "web": container is running: stop the container before removing or force remove',
	);
	await engine.containers.remove(id, { ...options, force: true });
	expect([engine.containers.list().length, engine.snapshotter.prepared.size]).toEqual([0, 0]);
});

test("kill(), pause() and resize() of one that does not run are conflicts", async () => {
	await using engine = await opened();
	const id = await made(engine);
	await expect(engine.containers.kill(id, "KILL")).rejects.toMatchObject({ code: "conflict" });
	await expect(engine.containers.pause(id)).rejects.toMatchObject({ code: "conflict" });
	await expect(engine.containers.resize(id, 1, 1)).rejects.toMatchObject({ code: "conflict" });
	await expect(engine.containers.kill(id, "NOPE")).rejects.toThrow("invalid signal: NOPE");
});

test("pause() and unpause() change the state; rename() frees the old name", async () => {
	await using engine = await opened();
	const id = await made(engine);
	await engine.containers.start(id);
	await engine.containers.pause(id);
	expect(engine.containers.inspect(id).state.status).toBe("paused");
	await engine.containers.unpause(id);
	expect(engine.containers.inspect(id).state.status).toBe("running");
	await engine.containers.rename(id, "db1");
	expect(engine.containers.inspect("db1").id).toBe(id);
	await made(engine);
	expect(engine.seen.find(({ action }) => action === "rename")?.attributes).toMatchObject({
		oldName: "/web",
		name: "db1",
	});
});

test("attach() with logs gives the log first, then what comes live", async () => {
	await using engine = await opened();
	const id = await made(engine);
	const streams = { stdin: false, stdout: true, stderr: true, logs: true, stream: true };
	const { stream } = await engine.containers.attach(id, streams);
	stream.end("live");
	expect(await new Response(ReadableOf(stream)).text()).toBe("loggedlive");
});

test("logs() with follow ends when the container has ended", async () => {
	await using engine = await opened();
	const id = await made(engine);
	await engine.containers.start(id);
	const request = { stdout: true, stderr: true, timestamps: false, follow: true };
	let over = false;
	const reading = (async () => {
		for await (const _ of engine.containers.logs(id, request, new AbortController().signal).chunks);
		over = true;
	})();
	await settled();
	expect(over).toBe(false);
	engine.runtime.exit(id, 0);
	await reading;
});

test("top() keeps the container's lines", async () => {
	await using engine = await opened();
	const id = await made(engine);
	await engine.containers.start(id);
	expect(await engine.containers.top(id, "")).toEqual({
		Titles: ["UID", "PID", "CMD"],
		Processes: [["root", "100", "run it"]],
	});
});

test("an exec runs once, is inspected after its end, and needs a running container", async () => {
	await using engine = await opened();
	const id = await made(engine);
	await expect(engine.execs.create(id, execConfig())).rejects.toMatchObject({ code: "conflict" });
	await engine.containers.start(id);
	const exec = await engine.execs.create(id, execConfig());
	expect(engine.containers.inspect(id).execIds).toEqual([exec.id]);
	await engine.execs.startDetached(exec.id, { tty: false });
	await expect(engine.execs.startDetached(exec.id, { tty: false })).rejects.toMatchObject({ code: "conflict" });
	engine.runtime.exit(exec.id, 4);
	expect(engine.execs.inspect(exec.id).state).toMatchObject({ status: "exited", exitCode: 4 });
	expect(engine.containers.inspect(id).execIds).toEqual([]);
	expect(() => engine.execs.inspect("x")).toThrow("No such exec instance: x");
});

test("an attached exec that has run is told so in the stream, not by a status", async () => {
	await using engine = await opened();
	const id = await made(engine);
	await engine.containers.start(id);
	const exec = await engine.execs.create(id, execConfig({ Tty: true }));
	await engine.execs.startDetached(exec.id, { tty: true });
	const says = async () => new Response(ReadableOf((await engine.execs.start(exec.id, { tty: true })).stream)).text();
	expect(await says()).toBe(`exec command ${exec.id} is already running\r\n`);
	engine.runtime.exit(exec.id, 0);
	expect(await says()).toBe(`exec command ${exec.id} has already run\r\n`);
});

test("an attached exec that cannot run says so in its stream and has exit code 127", async () => {
	await using engine = await opened();
	const id = await made(engine);
	await engine.containers.start(id);
	const exec = await engine.execs.create(id, execConfig({ Tty: true, Cmd: ["nosuch"] }));
	engine.runtime.failure = new EngineError("invalid", "executable file `nosuch` not found in $PATH");
	const { stream } = await engine.execs.start(exec.id, { tty: true });
	expect(await new Response(ReadableOf(stream)).text()).toContain('exec: "nosuch": executable file not found in $PATH');
	expect(engine.execs.inspect(exec.id).state).toMatchObject({ status: "exited", exitCode: 127 });
});

test("a new daemon adopts what runs, settles what ended, and restarts by policy", async () => {
	await using first = await opened();
	const runs = await made(first, {}, {}, "runs");
	const ended = await made(first, {}, {}, "ended");
	const always = await made(first, { RestartPolicy: { Name: "always", MaximumRetryCount: 0 } }, {}, "always");
	const gone = await made(first, { AutoRemove: true }, {}, "gone");
	for (const id of [runs, ended, always, gone]) await first.containers.start(id);
	await first.containers.stop(always, {});
	await first.runtime.open(async () => {});
	first.runtime.exit(ended, 6);
	first.runtime.exit(gone, 0);
	const second = createTestEngine({ keep: first });
	await second.open();
	await settled();
	expect(second.containers.inspect(runs).state.status).toBe("running");
	expect(second.sandboxes.kept.map(({ containerId }) => containerId)).toEqual([runs]);
	expect(second.containers.inspect(ended).state).toMatchObject({ status: "exited", exitCode: 6 });
	expect(second.containers.inspect(always).state.status).toBe("running");
	expect(() => second.containers.inspect(gone)).toThrow("No such container");
	await second.close();
});

function ReadableOf(stream: AsyncIterable<Uint8Array>): ReadableStream<Uint8Array> {
	return new ReadableStream({
		async start(controller) {
			for await (const chunk of stream) controller.enqueue(chunk);
			controller.close();
		},
	});
}

test("what cannot be done is told in docker's words, with the name the client used", async () => {
	await using engine = await opened();
	const id = await made(engine);
	await made(engine, {}, {}, "other");
	const { containers, execs } = engine;
	await expect(containers.kill("web", "KILL")).rejects.toThrow(
		`cannot kill container: web: container ${id} is not running`,
	);
	await expect(containers.kill("no", "KILL")).rejects.toThrow("cannot kill container: no: No such container: no");
	await expect(containers.kill("web", "FOO")).rejects.toThrow("cannot kill container: web: invalid signal: FOO");
	await expect(containers.kill("web", "99")).rejects.toThrow("the linux daemon does not support signal 99");
	await expect(containers.pause("web")).rejects.toThrow(new RegExp(`^container ${id} is not running$`));
	await expect(containers.unpause("web")).rejects.toThrow(`Container ${id} is not paused`);
	await expect(containers.resize("web", 1, 1)).rejects.toThrow(new RegExp(`^container ${id} is not running$`));
	await expect(containers.rename("web", "other")).rejects.toThrow("Error when allocating new name: Conflict. The");
	await expect(containers.rename("web", "-x")).rejects.toThrow(
		"Error when allocating new name: Invalid container name (/-x), only",
	);
	await expect(execs.create("web", execConfig({ Cmd: ["x"] }))).rejects.toThrow(`container ${id} is not running`);
	await containers.start(id);
	await containers.pause(id);
	await expect(execs.create("web", execConfig({ Cmd: ["x"] }))).rejects.toThrow(
		"Container web is paused, unpause the container before exec",
	);
});

test("restart() tells the stop between the two runs; exec events have a blank behind a bare command", async () => {
	await using engine = await opened();
	const id = await made(engine);
	await engine.containers.start(id);
	await engine.execs.create(id, execConfig({ Cmd: ["true"] }));
	await engine.containers.restart(id, { timeout: 1 });
	expect(engine.actions().slice(3)).toEqual([
		"exec_create: true ",
		"kill",
		"disconnect",
		"stop",
		"die",
		"connect",
		"start",
		"restart",
	]);
});

test("after a run the container is still known to be of its network, without an address", async () => {
	await using engine = await opened();
	const id = await made(engine);
	await engine.containers.start(id);
	engine.runtime.exit(id, 0);
	await settled();
	expect(engine.containers.inspect(id).network).toEqual({
		sandboxId: "",
		endpoints: [{ networkName: "bridge", networkId: "n", endpointId: "" }],
		ports: [],
	});
	expect(engine.containers.rootPaths(id)).toMatchObject({ ID: id, MergedDir: expect.any(String) });
});

test("when the machine goes down containers end as at a stop, and come back by their policies only after it", async () => {
	await using engine = await opened();
	const always = { RestartPolicy: { Name: "always", MaximumRetryCount: 0 } } as const;
	const back = await made(engine, always);
	const plain = await made(engine, {}, { StopTimeout: -1 }, "plain");
	const gone = await made(engine, { AutoRemove: true }, {}, "gone");
	const frozen = await made(engine, {}, {}, "frozen");
	for (const id of [back, plain, gone, frozen]) await engine.containers.start(id);
	await engine.containers.pause(frozen);
	await engine.endForShutdown();
	await Bun.sleep(130);
	expect(engine.runtime.started).toHaveLength(4);
	const records = engine.containers.list();
	const ended = [back, plain, frozen].map((id) => engine.containers.inspect(id));
	expect(ended.map(({ state, stoppedByUser }) => [state.status, stoppedByUser])).toEqual([
		["restarting", false],
		["exited", false],
		["exited", false],
	]);
	expect(records).toHaveLength(3);
	expect(plan(records, { processes: [], snapshots: [] }, "").map((action) => [action.do, action.id])).toEqual([
		["start", back],
	]);
});
