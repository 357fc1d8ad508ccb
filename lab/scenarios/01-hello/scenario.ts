import { equal, eventually, includes } from "../../lib/assert.ts";
import { lookup } from "../../lib/dns.ts";
import { isAlive } from "../../lib/leaks.ts";
import { loadImage } from "../../lib/load-image.ts";
import type { Lab, Scenario } from "../../lib/scenario.ts";
import { step } from "../../lib/scenario.ts";

/** Counts up, a line every 50 ms: a gap or a repeat shows in the log. */
const COUNTER = "i=0; while :; do i=$((i+1)); echo line $i; usleep 50000; done";

const pidOf = async ({ docker }: Lab, name: string) => Number(await docker("inspect", "-f", "{{.State.Pid}}", name));

const page = async (url: string) => {
	const response = await fetch(url, { signal: AbortSignal.timeout(2000) });
	return { status: response.status, body: await response.text() };
};

/** The host port behind the container's port 80. */
async function publishedPort({ docker }: Lab, name: string): Promise<string> {
	return (await docker("port", name, "80/tcp")).split("\n")[0]?.split(":").at(-1) ?? "";
}

async function addressOf({ docker }: Lab, name: string): Promise<string> {
	return await docker("inspect", "-f", "{{.NetworkSettings.Networks.bridge.IPAddress}}", name);
}

/** Throws unless the log's lines are `line 1`, `line 2`, ... without gap or repeat; gives their number. */
async function wholeLog({ docker }: Lab, name: string): Promise<number> {
	const lines = (await docker("logs", name)).split("\n");
	equal(
		lines.find((line, i) => line !== `line ${i + 1}`),
		undefined,
		"first line of the log that is out of order",
	);
	return lines.length;
}

const pids: Record<string, number> = {};

export const scenario: Scenario = {
	title: "a container runs, answers by name and port, and outlives a crash of the daemon",
	steps: [
		step("images load from tars", async (lab) => {
			await loadImage(lab, "busybox");
			await loadImage(lab, "hello");
		}),
		step("docker run prints what the container prints, and ends with its exit code", async ({ docker }) => {
			equal(
				await docker.run(["run", "--rm", "busybox", "echo", "hello"]),
				{ code: 0, stdout: "hello", stderr: "" },
				"echo",
			);
			equal((await docker.run(["run", "--rm", "busybox", "sh", "-c", "exit 7"])).code, 7, "exit code");
			equal(
				(await docker.run(["run", "--rm", "busybox", "/no/such/command"])).code,
				127,
				"exit code of a missing command",
			);
		}),
		step("docker run -d starts a web server", async (lab) => {
			await lab.docker("run", "-d", "--name", "hello", "-p", "127.0.0.1::80", "hello");
			pids.hello = await pidOf(lab, "hello");
			equal(isAlive(pids.hello), true, "its process runs");
		}),
		step("its published port answers on 127.0.0.1", async (lab) => {
			const port = await publishedPort(lab, "hello");
			const { status } = await eventually("an answer", () => page(`http://127.0.0.1:${port}/`));
			equal(status, 200, "HTTP status");
		}),
		step("the host finds it by name, and over that address by HTTP", async (lab) => {
			const answer = await lookup(lab.engine.dns, `hello.${lab.engine.domain}`);
			equal(answer, { rcode: "NOERROR", addresses: [await addressOf(lab, "hello")] }, "A record");
			equal((await page(`http://${answer.addresses[0]}/`)).status, 200, "HTTP status");
		}),
		step("a name without IPv6 address is NODATA, an unknown one NXDOMAIN", async ({ engine }) => {
			const none = await lookup(engine.dns, `hello.${engine.domain}`, "AAAA");
			equal(none, { rcode: "NOERROR", addresses: [] }, "AAAA record");
			equal((await lookup(engine.dns, `nobody.${engine.domain}`)).rcode, "NXDOMAIN", "unknown name");
		}),
		// Debian's static busybox crashes when its wget connects, so the name is proven by ping.
		step("another container finds it by name, and reaches it", async (lab) => {
			const address = await addressOf(lab, "hello");
			const ping = await lab.docker("run", "--rm", "busybox", "ping", "-c", "1", "-W", "3", "hello");
			includes(ping, `PING hello (${address})`, "ping");
		}),
		step("docker exec runs a command in it, with stdin", async ({ docker }) => {
			const { stdout } = await docker.run(["exec", "-i", "hello", "cat"], { stdin: "through exec\n" });
			equal(stdout, "through exec", "what cat gave back");
			equal((await docker.run(["exec", "hello", "sh", "-c", "exit 5"])).code, 5, "exit code");
		}),
		step("containers that log, end soon, and restart are under way", async (lab) => {
			await lab.docker("run", "-d", "--name", "counter", "busybox", "sh", "-c", COUNTER);
			await lab.docker("run", "-d", "--name", "brief", "busybox", "sh", "-c", "sleep 2; exit 42");
			await lab.docker("run", "-d", "--name", "stubborn", "--restart", "always", "busybox", "sleep", "1000");
			pids.counter = await pidOf(lab, "counter");
			pids.stubborn = await pidOf(lab, "stubborn");
			await eventually("some lines", async () => (await wholeLog(lab, "counter")) > 5);
		}),
		step("kill -9 of the daemon leaves the containers running", async ({ engine }) => {
			await engine.kill();
			await Bun.sleep(3000);
			equal([isAlive(pids.hello ?? 0), isAlive(pids.counter ?? 0)], [true, true], "hello and counter run");
			process.kill(pids.stubborn ?? 0, "SIGKILL");
		}),
		step("a new daemon adopts them under their old pids", async (lab) => {
			await lab.engine.start();
			equal([await pidOf(lab, "hello"), await pidOf(lab, "counter")], [pids.hello, pids.counter], "pids");
			const names = (await lab.docker("ps", "--format", "{{.Names}}")).split("\n");
			equal(names.includes("hello") && names.includes("counter"), true, `docker ps lists them (${names})`);
		}),
		step("logs are whole across the crash and go on", async (lab) => {
			const lines = await wholeLog(lab, "counter");
			equal(lines > 40, true, `lines written while no daemon ran are there (${lines})`);
			await eventually("more lines", async () => (await wholeLog(lab, "counter")) > lines);
		}),
		step("the exit code of one that ended meanwhile is right", async ({ docker }) => {
			equal(
				await docker("inspect", "-f", "{{.State.Status}} {{.State.ExitCode}}", "brief"),
				"exited 42",
				"brief's state",
			);
			equal(await docker("wait", "brief"), "42", "docker wait");
		}),
		step("one with a restart policy that died meanwhile is started again", async (lab) => {
			const pid = await eventually("a new pid", async () => {
				const found = await pidOf(lab, "stubborn");
				return found !== 0 && found !== pids.stubborn && isAlive(found) && found;
			});
			equal(pid === pids.stubborn, false, "pid changed");
		}),
		step("exec, port and name work on adopted containers", async (lab) => {
			equal(await lab.docker("exec", "hello", "echo", "again"), "again", "exec");
			equal((await page(`http://127.0.0.1:${await publishedPort(lab, "hello")}/`)).status, 200, "HTTP status");
			equal(
				(await lookup(lab.engine.dns, `hello.${lab.engine.domain}`)).addresses,
				[await addressOf(lab, "hello")],
				"A record",
			);
		}),
		step("docker wait sees an adopted container end", async ({ docker }) => {
			const waiting = docker.start(["wait", "counter"]);
			await Bun.sleep(300);
			await docker("kill", "counter");
			equal((await waiting.result).stdout, "137", "docker wait");
		}),
		step("SIGTERM stops the daemon and leaves containers running", async (lab) => {
			await lab.engine.stop();
			equal(isAlive(pids.hello ?? 0), true, "hello runs");
			await lab.engine.start();
			equal(await pidOf(lab, "hello"), pids.hello, "pid");
		}),
		step("docker rm -f removes them, and the name with them", async ({ docker, engine }) => {
			await docker("rm", "-f", "hello", "counter", "brief", "stubborn");
			equal(await docker("ps", "-aq"), "", "containers left");
			equal((await lookup(engine.dns, `hello.${engine.domain}`)).rcode, "NXDOMAIN", "name");
		}),
	],
};
