import { copyFileSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { equal, eventually, includes } from "../../lib/assert.ts";
import { isAlive } from "../../lib/leaks.ts";
import { loadImage } from "../../lib/load-image.ts";
import { type Lab, type Scenario, step } from "../../lib/scenario.ts";

/** One request over the engine's socket; `body` goes as it is. */
async function request({ engine }: Lab, method: string, path: string, body?: string) {
	const response = await fetch(`http://localhost${path}`, {
		method,
		unix: engine.host.replace("unix://", ""),
		headers: body === undefined ? {} : { "content-type": "application/json" },
		body,
		signal: AbortSignal.timeout(10_000),
	});
	return { status: response.status, text: await response.text() };
}

/** Fails unless the engine answers `ps` within a second. */
async function answersPromptly(lab: Lab, during: string): Promise<void> {
	const begin = performance.now();
	equal((await request(lab, "GET", "/v1.51/containers/json")).status, 200, `GET /containers/json during ${during}`);
	const took = performance.now() - begin;
	equal(took < 1000, true, `answer within 1 s during ${during} (${Math.round(took)} ms)`);
}

/** The one file of the state database in the data root. */
function databaseFile(dataRoot: string): string {
	const name = readdirSync(dataRoot).find((entry) => entry.endsWith(".db") || entry.endsWith(".sqlite"));
	if (name === undefined) throw new Error(`no database in ${dataRoot}: ${readdirSync(dataRoot)}`);
	return join(dataRoot, name);
}

const badRequests: { method: string; path: string; body?: string; names: string }[] = [
	{ method: "POST", path: "/v1.51/containers/create", body: "{", names: "JSON" },
	{ method: "POST", path: "/v1.51/containers/create", body: '{"Image":7}', names: "Image" },
	{
		method: "POST",
		path: "/v1.51/containers/create",
		body: '{"Image":"busybox","HostConfig":{"Memory":"much"}}',
		names: "Memory",
	},
	{
		method: "POST",
		path: "/v1.51/containers/create",
		body: '{"Image":"busybox","HostConfig":{"RestartPolicy":{"Name":"sometimes"}}}',
		names: "sometimes",
	},
	{ method: "POST", path: "/v1.51/containers/create?name=a/b", body: '{"Image":"busybox"}', names: "a/b" },
	{ method: "GET", path: "/v1.51/containers/json?limit=many", names: "limit" },
	{ method: "GET", path: "/v1.51/containers/json?filters=%7B", names: "filter" },
	{ method: "GET", path: "/v1.51/containers/json?filters=%7B%22colour%22%3A%5B%22red%22%5D%7D", names: "colour" },
];

/** Creates, starts and removes containers until `until` says so; what the crash interrupts may fail. */
async function churn({ docker }: Lab, worker: number, until: () => boolean): Promise<void> {
	for (let i = 0; !until() && i < 200; i++) {
		const name = `churn-${worker}-${i}`;
		await docker.run(["run", "-d", "--name", name, "busybox", "sleep", "60"]);
		if (i % 3 === 0) await docker.run(["stop", "-t", "0", name]);
		if (i % 2 === 0) await docker.run(["rm", "-f", name]);
	}
}

export const scenario: Scenario = {
	title: "faults stay where they happen",
	steps: [
		step("an image loads", (lab) => loadImage(lab, "busybox")),
		step("a container that floods its log holds up nobody, and its log keeps within its bound", async (lab) => {
			const options = ["--log-opt", "max-size=1m", "--log-opt", "max-file=2"];
			await lab.docker("run", "-d", "--name", "flood", ...options, "busybox", "yes", "0123456789".repeat(8));
			for (let i = 0; i < 8; i++) {
				await answersPromptly(lab, "a flood");
				await Bun.sleep(100);
			}
			equal(await lab.docker("run", "--rm", "busybox", "echo", "others"), "others", "another container");
			const path = await lab.docker("inspect", "-f", "{{.LogPath}}", "flood");
			// Ended first: files under rotation cannot be measured.
			await lab.docker("stop", "-t", "0", "flood");
			const files = readdirSync(dirname(path)).filter((name) => name.startsWith(basename(path)));
			const bytes = files.reduce((sum, name) => sum + statSync(join(dirname(path), name)).size, 0);
			equal(
				bytes > 1_000_000 && bytes < 2_500_000,
				true,
				`bytes of ${files.length} log files, two of 1 MB allowed (${bytes})`,
			);
			await lab.docker("rm", "-f", "flood");
		}),
		step("one that ignores SIGTERM is killed after the grace period", async ({ docker }) => {
			await docker("run", "-d", "--name", "deaf", "busybox", "sh", "-c", "trap '' TERM; while :; do sleep 1; done");
			await docker("stop", "-t", "1", "deaf");
			equal(await docker("inspect", "-f", "{{.State.ExitCode}}", "deaf"), "137", "exit code");
			await docker("rm", "deaf");
		}),
		step("one that forks without end stays below its pids limit", async (lab) => {
			const bomb = "f() { f & f & }; f; while :; do sleep 1; done";
			await lab.docker("run", "-d", "--name", "bomb", "--pids-limit", "40", "busybox", "sh", "-c", bomb);
			await Bun.sleep(500);
			await answersPromptly(lab, "a fork bomb");
			const top = await lab.docker.run(["top", "bomb"]);
			equal(top.stdout.split("\n").length <= 41, true, `processes (${top.stdout.split("\n").length - 1})`);
			await lab.docker("rm", "-f", "bomb");
		}),
		step("50 clients create, start and remove at once", async ({ docker }) => {
			const runs = Array.from({ length: 50 }, (_, i) =>
				docker.run(["run", "--rm", "busybox", "sh", "-c", `echo out ${i}; exit ${i}`]),
			);
			const results = await Promise.all(runs);
			results.forEach((result, i) => {
				equal(result, { code: i, stdout: `out ${i}`, stderr: "" }, `client ${i}`);
			});
			await eventually("all gone", async () => (await docker("ps", "-aq")) === "");
		}),
		step("bad requests are 400 and name what is wrong", async (lab) => {
			for (const { method, path, body, names } of badRequests) {
				const { status, text } = await request(lab, method, path, body);
				equal(status, 400, `${method} ${path} ${body ?? ""} (${text})`);
				includes(JSON.parse(text).message, names, `message of ${path} ${body ?? ""}`);
			}
			equal(await lab.docker("ps", "-aq"), "", "containers made by bad requests");
		}),
		step("a client that goes away takes nothing with it", async ({ docker }) => {
			const loop = "i=0; while :; do i=$((i+1)); echo $i; usleep 20000; done";
			await docker("run", "-d", "--name", "talker", "busybox", "sh", "-c", loop);
			const clients = [docker.start(["logs", "-f", "talker"]), docker.start(["attach", "--no-stdin", "talker"])];
			await Bun.sleep(500);
			for (const client of clients) client.kill();
			await Promise.all(clients.map((client) => client.result));
			equal(await docker("inspect", "-f", "{{.State.Running}}", "talker"), "true", "it runs");
			const before = (await docker("logs", "talker")).split("\n").length;
			await eventually("it logs on", async () => (await docker("logs", "talker")).split("\n").length > before);
		}),
		step("kill -9 while containers come and go loses nothing that was told", async (lab) => {
			let over = false;
			const workers = [1, 2, 3, 4].map((worker) => churn(lab, worker, () => over));
			await Bun.sleep(1500);
			await lab.engine.kill();
			over = true;
			await Promise.all(workers);
			await lab.engine.start();
			const ids = (await lab.docker("ps", "-aq", "--no-trunc")).split("\n").filter(Boolean);
			equal(ids.length > 1, true, `containers listed after the crash (${ids.length})`);
			for (const id of ids) {
				const [status, pid] = (await lab.docker("inspect", "-f", "{{.State.Status}} {{.State.Pid}}", id)).split(" ");
				equal(status === "running", isAlive(Number(pid)), `${id}: ${status}, pid ${pid}`);
			}
		}),
		step("logs -f and wait work on one adopted from before the crash", async ({ docker }) => {
			const follower = docker.start(["logs", "-f", "--tail", "1", "talker"]);
			const waiter = docker.start(["wait", "talker"]);
			await Bun.sleep(400);
			await docker("kill", "-s", "KILL", "talker");
			equal((await waiter.result).stdout, "137", "docker wait");
			const { stdout } = await follower.result;
			const numbers = stdout.split("\n").map(Number);
			equal(
				numbers.every((n, i) => i === 0 || n === (numbers[i - 1] ?? 0) + 1),
				true,
				"followed lines in order",
			);
			equal(numbers.length > 5, true, `lines followed (${numbers.length})`);
		}),
		step("the supervisor's death changes no exit code, no restart and no log line", async ({ docker, engine }) => {
			const sh = (name: string, script: string, ...options: string[]) =>
				docker("run", "-d", "--name", name, ...options, "busybox", "sh", "-c", script);
			const lines = "i=0; while [ $i -lt 20000 ]; do echo line $i; i=$((i+1)); done; sleep 2; exit 7";
			await sh("orphan", lines);
			await sh("again", "sleep 2; exit 3", "--restart", "on-failure:1");
			await sh("hungry", "sleep 2; x=a; while :; do x=$x$x; done", "-m", "20m");
			await sh(
				"checked",
				"sleep 60",
				"--health-cmd",
				"test -e /ok",
				"--health-interval",
				"1s",
				"--health-retries",
				"1",
			);
			const pids = await docker("inspect", "-f", "{{.State.Pid}}", "orphan", "hungry", "checked");
			const waiter = docker.start(["wait", "orphan", "hungry"]);
			process.kill(Number(readFileSync(join(engine.runRoot, "supervisor.pid"), "utf8").split(" ")[0]), "SIGKILL");
			equal(await docker("inspect", "-f", "{{.State.Pid}}", "orphan", "hungry", "checked"), pids, "they run on");
			equal((await docker.run(["exec", "checked", "sh", "-c", "touch /ok; exit 8"])).code, 8, "an exec's code");
			equal((await waiter.result).stdout.split("\n").sort(), ["137", "7"], "docker wait");
			const expected = Array.from({ length: 20_000 }, (_, i) => `line ${i}`).join("\n");
			equal((await docker("logs", "orphan")) === expected, true, "every line is logged once");
			equal(await docker("inspect", "-f", "{{.State.OOMKilled}}", "hungry"), "true", "out of memory");
			const state = "{{.State.Status}} {{.State.ExitCode}} {{.RestartCount}}";
			await eventually(
				"on-failure starts it once more",
				async () => (await docker("inspect", "-f", state, "again")) === "exited 3 1",
				{ withinMs: 15_000 },
			);
			await eventually(
				"its health is asked for",
				async () => (await docker("inspect", "-f", "{{.State.Health.Status}}", "checked")) === "healthy",
			);
			await docker("rm", "-f", "orphan", "again", "hungry", "checked");
		}),
		step("everything of the churn can be removed", async ({ docker }) => {
			const ids = (await docker("ps", "-aq")).split("\n").filter(Boolean);
			await docker("rm", "-f", ...ids);
			equal(await docker("ps", "-aq"), "", "containers left");
		}),
		step("a full disk is a clear error and a clean state", async (lab) => {
			const big = join(lab.directory, "big.tar");
			const layer = join(lab.directory, "big");
			Bun.spawnSync([
				"sh",
				"-c",
				`mkdir -p ${layer} && head -c 80000000 /dev/urandom > ${layer}/file && tar -C ${layer} -cf ${big} file`,
			]);
			await lab.engine.stop();
			Bun.spawnSync(["mount", "-t", "tmpfs", "-o", "size=32m", "tmpfs", lab.engine.dataRoot]);
			try {
				await lab.engine.start();
				const { code, stderr, stdout } = await lab.docker.run(["import", big, "big:latest"]);
				equal(code !== 0, true, `import of 80 MB into 32 MB fails (${stdout})`);
				includes(stderr, "no space left on device", "docker import");
				equal(await lab.docker("images", "-q"), "", "images after the failure");
				await loadImage(lab, "busybox");
				equal(await lab.docker("run", "--rm", "busybox", "echo", "works"), "works", "a small image");
				await lab.docker("run", "-d", "--name", "filler", "busybox", "yes", "0123456789".repeat(10));
				await lab.docker(
					"run",
					"-d",
					"--name",
					"neighbour",
					"busybox",
					"sh",
					"-c",
					"while :; do date; sleep 0.1; done",
				);
				const full = async () =>
					(await lab.docker.run(["run", "--rm", "busybox", "true"])).stderr.includes("no space left");
				await eventually("its log fills the disk", full);
				equal(await lab.docker("exec", "neighbour", "echo", "here"), "here", "an exec while the disk is full");
				equal(await lab.docker("stop", "-t", "0", "filler"), "filler", "docker stop while the disk is full");
				equal(await lab.docker("rm", "filler"), "filler", "docker rm while the disk is full");
				equal(await lab.docker("run", "--rm", "busybox", "echo", "again"), "again", "there is room");
				await lab.docker("rm", "-f", "neighbour");
				await lab.engine.stop();
			} finally {
				await lab.engine.stop();
				await Bun.sleep(200);
				Bun.spawnSync(["umount", lab.engine.dataRoot]);
			}
			await lab.engine.start();
		}),
		step("a damaged database is refused and left as it is", async ({ engine }) => {
			await engine.stop();
			const file = databaseFile(engine.dataRoot);
			copyFileSync(file, `${file}.good`);
			const junk = "this is no database ".repeat(500);
			writeFileSync(file, junk);
			const failure = await engine.start().then(
				() => "it started",
				(error: Error) => error.message,
			);
			includes(failure, file, "the daemon's error");
			equal(readFileSync(file, "utf8"), junk, "the damaged file");
			copyFileSync(`${file}.good`, file);
			equal(statSync(file).mode & 0o077, 0, "mode of the database");
			await engine.start();
		}),
	],
};
