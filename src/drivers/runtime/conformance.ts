import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { createHash, randomBytes } from "node:crypto";
import { mkdirSync, readdirSync, readFileSync } from "node:fs";
import type { Duplex } from "node:stream";
import type { ProcessExit, ProcessIo, RuntimeCommand, RuntimeDriver } from "./driver.ts";
import { SECCOMP, testSpec } from "./test-bundle.ts";
import { traitsOf } from "./traits.ts";

/** What a driver's own test gives the suite. */
export interface ConformanceSubject {
	/** A new driver on the same run root, as a restarted daemon makes. */
	create(): RuntimeDriver;
	/** An empty directory for bundles and logs. */
	readonly directory: string;
	/** A busybox root filesystem. */
	readonly root: string;
	readonly cgroupParent: string;
	readonly runtime: RuntimeCommand;
}

const PIPES: ProcessIo = { tty: false, stdin: false, stdinOnce: false };
const ALL = { stdin: true, stdout: true, stderr: true };

/** Everything read from a stream, as text. */
async function all(stream: Duplex): Promise<string> {
	const chunks: Buffer[] = [];
	for await (const chunk of stream) chunks.push(chunk as Buffer);
	return Buffer.concat(chunks).toString();
}

/** The suite that every runtime driver passes. */
export function runtimeConformance(name: string, subject: () => ConformanceSubject): void {
	describe(`runtime driver: ${name}`, () => {
		let driver: RuntimeDriver;
		let count = 0;
		const exits = new Map<string, ProcessExit>();
		const onExit = (exit: ProcessExit) => void exits.set(exit.processId, exit);
		const id = () => `c${process.pid}${subject().runtime.family}${++count}`;

		beforeAll(async () => {
			driver = subject().create();
			await driver.open(onExit);
		});
		afterAll(async () => {
			for (const { processId } of await driver.list()) await driver.release(processId);
			await driver.close();
		});

		async function start(containerId: string, args: string[], io: Partial<ProcessIo> = {}, memory?: number) {
			const { directory, root, cgroupParent, runtime } = subject();
			const bundle = `${directory}/${containerId}`;
			mkdirSync(bundle);
			const spec = testSpec(root, `${cgroupParent}/${containerId}`, args, io.tty);
			if (memory !== undefined) spec.linux.resources.memory = { limit: memory, swap: memory };
			return driver.start({ containerId, runtime, bundle, spec, seccomp: SECCOMP, io: { ...PIPES, ...io } });
		}

		async function exit(processId: string): Promise<ProcessExit> {
			for (let i = 0; i < 2000; i++) {
				const found = exits.get(processId);
				if (found) return found;
				await Bun.sleep(5);
			}
			throw new Error(`no exit of ${processId}`);
		}

		test("exit code, output in frames to a client that came first, and the log", async () => {
			const c = id();
			const path = `${subject().directory}/${c}.log`;
			const output = all(await driver.attach(c, { ...ALL, stdin: false }));
			await start(c, ["sh", "-c", "echo out; sleep 0.05; echo err >&2; exit 7"], {
				log: { path, maxSize: 0, maxFiles: 1 },
			});
			expect((await exit(c)).exitCode).toBe(7);
			expect(await output).toBe("\u0001\0\0\0\0\0\0\u0004out\n\u0002\0\0\0\0\0\0\u0004err\n");
			expect(readFileSync(path, "utf8")).toMatch(
				/^{"log":"out\\n","stream":"stdout",.*\n{"log":"err\\n","stream":"stderr"/,
			);
			await driver.release(c);
			expect((await driver.list()).some(({ processId }) => processId === c)).toBe(false);
		});

		test("a missing or forbidden command is told in docker's words, and leaves nothing", async () => {
			await expect(start(id(), ["missing"])).rejects.toMatchObject({
				code: "invalid",
				message: expect.stringContaining("executable file not found"),
			});
			await expect(start(id(), ["/etc"])).rejects.toMatchObject({
				code: "invalid",
				message: expect.stringContaining("permission denied"),
			});
			expect(await driver.list()).toEqual([]);
		});

		test("kill gives 128 + n, and an ended process cannot be killed", async () => {
			const c = id();
			await start(c, ["sleep", "100"]);
			await driver.kill(c, 9);
			expect((await exit(c)).exitCode).toBe(137);
			await expect(driver.kill(c, 9)).rejects.toMatchObject({ code: "conflict" });
			await driver.release(c);
		});

		test("100 MB through stdin come back whole, and half-close reaches the process", async () => {
			const c = id();
			const stream = await driver.attach(c, ALL);
			await start(c, ["sh", "-c", "sha256sum"], { stdin: true, stdinOnce: true });
			const output = all(stream);
			const hash = createHash("sha256");
			for (let i = 0; i < 100; i++) {
				const chunk = randomBytes(1_000_000);
				hash.update(chunk);
				if (!stream.write(chunk)) await new Promise((resolve) => stream.once("drain", resolve));
			}
			stream.end();
			expect(await output).toContain(hash.digest("hex"));
			expect((await exit(c)).exitCode).toBe(0);
			await driver.release(c);
		}, 30_000);

		test("input that ended before the start reaches the process, with its end", async () => {
			const c = id();
			const stream = await driver.attach(c, ALL);
			stream.end("early\n");
			await Bun.sleep(50);
			await start(c, ["sh", "-c", "cat; echo done"], { stdin: true, stdinOnce: true });
			const output = await all(stream);
			expect(output).toContain("early");
			expect(output).toContain("done");
			await exit(c);
			await driver.release(c);
		});

		test("output is whole though the process leaves a flood of input unread", async () => {
			const c = id();
			const stream = await driver.attach(c, ALL);
			await start(c, ["sh", "-c", "head -c 5; echo last"], { stdin: true, stdinOnce: true });
			const output = all(stream);
			const block = Buffer.alloc(1024 * 1024, "x");
			for (let i = 0; i < 4; i++) stream.write(block);
			expect(await output).toMatch(/xxxxx[\s\S]*last/);
			stream.destroy();
			await exit(c);
			await driver.release(c);
		});

		test("a terminal: size, echo, raw output", async () => {
			const c = id();
			const stream = await driver.attach(c, ALL);
			await start(c, ["sh", "-c", "read x; stty size; echo got $x"], { tty: true, stdin: true });
			await driver.resize(c, 33, 111);
			const output = all(stream);
			stream.write("hello\n");
			const text = await output;
			expect(text).toContain("33 111\r\n");
			expect(text).toContain("got hello\r\n");
			await driver.release(c);
		});

		test("exec: own output and exit code; pids; pause and resume; release kills", async () => {
			const c = id();
			await start(c, ["sleep", "100"]);
			const execId = `${c}e`;
			const output = all(await driver.attach(execId, ALL));
			const { process } = testSpec("/", "/", [
				"sh",
				"-c",
				"echo in exec $(cat /proc/self/oom_score_adj) $(ulimit -c); exit 3",
			]);
			// Not RLIMIT_NOFILE: in runc before 1.1.13 Go raises what an exec has of it to the hard limit.
			const limits = { oomScoreAdj: 70, rlimits: [{ type: "RLIMIT_CORE", soft: 90 * 512, hard: 100 * 512 }] };
			await driver.exec({ containerId: c, execId, process: { ...process, ...limits }, io: PIPES });
			expect((await exit(execId)).exitCode).toBe(3);
			expect(await output).toContain("in exec 70 90\n");
			expect(await driver.pids(c)).toHaveLength(1);
			await driver.pause(c);
			await driver.resume(c);
			await driver.pause(c);
			await driver.release(execId);
			await driver.release(c);
			expect(exits.get(c)?.exitCode).toBe(137);
		});

		test("usage is what the cgroup says, and an update changes its limits", async () => {
			const c = id();
			await start(c, ["sleep", "100"], {}, 64 * 1024 * 1024);
			const before = await driver.usage(c);
			expect([before.memory.limit, before.pids.current]).toEqual([64 * 1024 * 1024, 1]);
			expect(before.cpu.total).toBeGreaterThan(0);
			expect(before.system.cpu).toBeGreaterThan(before.cpu.total);
			const memory = { limit: 128 * 1024 * 1024, swap: 256 * 1024 * 1024 };
			await driver.update(c, { memory, pids: { limit: 33 } });
			const after = await driver.usage(c);
			expect([after.memory.limit, after.pids.limit]).toEqual([128 * 1024 * 1024, 33]);
			await driver.update(c, { pids: { limit: -1 } });
			expect((await driver.usage(c)).pids.limit).toBeUndefined();
			await driver.update(c, { cpu: { quota: 50_000, period: 100_000 } });
			await driver.update(c, { cpu: { quota: -1 } });
			await driver.release(c);
			await expect(driver.usage(c)).rejects.toThrow("is not running");
		});

		test("when a start is told, nothing of the runtime takes the program's signals", async () => {
			const { beforeProgram } = traitsOf(subject().runtime.family);
			for (let n = 0; n < 8; n++) {
				const c = id();
				const { pid } = await start(c, ["sleep", "100"]);
				expect(readFileSync(`/proc/${pid}/comm`, "utf8")).not.toBe(`${beforeProgram}\n`);
				await driver.release(c);
			}
		});

		test("pause just after the start, and what follows on it, never hangs", async () => {
			for (let n = 0; n < 12; n++) {
				const c = id();
				await start(c, ["sleep", "100"]);
				await driver.pause(c);
				expect(readFileSync(`/sys/fs/cgroup/freezer${subject().cgroupParent}/${c}/freezer.state`, "utf8")).toBe(
					"FROZEN\n",
				);
				await driver.resume(c);
				await driver.kill(c, 9);
				expect((await exit(c)).exitCode).toBe(137);
				await driver.release(c);
			}
		}, 20_000);

		test("out of memory is told", async () => {
			const c = id();
			await start(c, ["sh", "-c", "x=$(yes); true"], {}, 16 * 1024 * 1024);
			expect((await exit(c)).oomKilled).toBe(true);
			await driver.release(c);
		}, 20_000);

		test("a daemon that goes away misses nothing: the next one lists the exit", async () => {
			const c = id();
			await start(c, ["sh", "-c", "sleep 0.2; exit 5"]);
			await driver.close();
			await Bun.sleep(500);
			driver = subject().create();
			await driver.open(onExit);
			const found = (await driver.list()).find(({ processId }) => processId === c);
			expect(found?.exit?.exitCode).toBe(5);
			await driver.release(c);
		});

		test("the seccomp filter is in force", async () => {
			const c = id();
			const output = all(await driver.attach(c, { ...ALL, stdin: false }));
			await start(c, ["cat", "/proc/self/status"]);
			expect(await output).toMatch(/Seccomp:\s+2/);
			await driver.release(c);
		});

		test("nothing is left: no cgroup of any container", () => {
			const cgroups = readdirSync(`/sys/fs/cgroup/memory${subject().cgroupParent}`);
			expect(cgroups.filter((name) => /^c\d/.test(name))).toEqual([]);
		});
	});
}
