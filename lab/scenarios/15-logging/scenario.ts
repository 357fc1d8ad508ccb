import { existsSync, readdirSync, readFileSync } from "node:fs";
import { createServer } from "node:net";
import { equal, eventually, includes } from "../../lib/assert.ts";
import { loadImage } from "../../lib/load-image.ts";
import type { Lab, Scenario } from "../../lib/scenario.ts";
import { step } from "../../lib/scenario.ts";

const SLEEP = ["busybox", "sleep", "1000"] as const;
const COUNT = 20_000;
/** Prints `line 1` to `line COUNT`. */
const COUNTING = ["busybox", "sh", "-c", `for i in $(seq ${COUNT}); do echo line $i; done`] as const;

const numbered = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, i) => `line ${from + i}`);

/** The last lines of a container's output, of which rotation may have dropped the first. */
async function expectTail(lab: Lab, name: string, total: number): Promise<void> {
	const lines = (await lab.docker("logs", name)).split("\n");
	equal(lines, numbered(total - lines.length + 1, total), `${name}: what is kept`);
	for (const tail of [1, 500, 5000]) {
		const last = (await lab.docker("logs", "--tail", String(tail), name)).split("\n");
		equal(last, lines.slice(-tail), `${name}: --tail ${tail}`);
	}
}

function supervisorPid({ engine }: Lab): number {
	return Number(readFileSync(`${engine.runRoot}/supervisor.pid`, "utf8").split(" ")[0]);
}

export const scenario: Scenario = {
	title: "log drivers, and what else outlives a crash of the daemon or the supervisor",
	steps: [
		step("json-file: attributes stand in front of each line", async (lab) => {
			await loadImage(lab, "busybox");
			const options = ["labels=tier", "env=MODE", "tag={{.ImageName}}/{{.Name}}"].flatMap((one) => ["--log-opt", one]);
			const what = ["--label", "tier=front", "-e", "MODE=a b", "busybox", "echo", "hello"];
			await lab.docker("run", "--name", "attributes", ...options, ...what);
			equal(
				await lab.docker("logs", "--details", "attributes"),
				"MODE=a+b,tag=busybox%2Fattributes,tier=front hello",
				"details",
			);
		}),
		step("files rotate and are compressed; all of them are read", async (lab) => {
			for (const driver of ["json-file", "local"]) {
				const options = ["max-size=50k", "max-file=4", "compress=true"].flatMap((one) => ["--log-opt", one]);
				await lab.docker("run", "-d", "--name", driver, "--log-driver", driver, ...options, ...COUNTING);
				await lab.docker("wait", driver);
				await expectTail(lab, driver, COUNT);
				const id = await lab.docker("inspect", "-f", "{{.Id}}", driver);
				const directory = `${lab.engine.dataRoot}/containers/${id}${driver === "local" ? "/local-logs" : ""}`;
				const packed = () => readdirSync(directory).filter((name) => /\.\d\.gz$/.test(name));
				await eventually(`${driver}: three compressed files`, () => packed().length === 3);
			}
		}),
		step("since and until pick by time, over files", async ({ docker }) => {
			const stamped = (await docker("logs", "-t", "local")).split("\n");
			const [from = "", to = ""] = [stamped[100], stamped[300]].map((line) => line?.split(" ")[0]);
			const expected = stamped.filter((line) => line.slice(0, 30) >= from && line.slice(0, 30) <= to);
			equal((await docker("logs", "-t", "--since", from, "--until", to, "local")).split("\n"), expected, "range");
		}),
		step("a follower misses no line while files rotate, and is ended with the container", async ({ docker }) => {
			const options = ["max-size=20k", "max-file=3"].flatMap((one) => ["--log-opt", one]);
			const slowly = `sleep 0.3; for i in $(seq 30); do for j in $(seq 100); do echo line $((i * 100 + j - 100)); done; usleep 20000; done`;
			for (const driver of ["json-file", "local"]) {
				const name = `followed-${driver}`;
				await docker("run", "-d", "--name", name, "--log-driver", driver, ...options, "busybox", "sh", "-c", slowly);
				equal((await docker("logs", "-f", name)).split("\n"), numbered(1, 3000), driver);
			}
		}),
		step("the log goes on while the daemon is killed and started again", async ({ docker, engine }) => {
			const ticking = "for i in $(seq 40); do echo line $i; usleep 50000; done";
			await docker("run", "-d", "--name", "ticking", "--log-driver", "local", "busybox", "sh", "-c", ticking);
			await engine.kill();
			await Bun.sleep(300);
			await engine.start();
			await docker("wait", "ticking");
			equal((await docker("logs", "ticking")).split("\n"), numbered(1, 40), "lines");
		}),
		step("syslog gets each line, and the copy is read", async ({ docker, directory }) => {
			let received = "";
			const server = createServer((socket) => socket.on("data", (chunk) => (received += chunk)));
			await new Promise<void>((done) => server.listen(`${directory}/syslog`, done));
			const options = [`syslog-address=unix://${directory}/syslog`, "syslog-format=rfc5424", "tag={{.Name}}"];
			const flags = ["--log-driver", "syslog", ...options.flatMap((one) => ["--log-opt", one])];
			await docker("run", "--name", "sent", ...flags, "busybox", "sh", "-c", "echo out; echo err >&2");
			await eventually("both lines", () => received.split("\n").length > 2);
			server.close();
			const shown = received.replaceAll(/1 \d{4}-\S+ \S+ sent \d+ /g, "").split("\n");
			equal(shown.sort(), ["", "<27>sent - err", "<30>sent - out"], "messages");
			equal((await docker.run(["logs", "sent"])).stdout, "out", "docker logs");
		}),
		step("what cannot be done is refused as dockerd does", async ({ docker, directory }) => {
			const refusal = async (...argv: string[]) =>
				(await docker.run(["run", "--rm", ...argv, "busybox", "true"])).stderr;
			includes(await refusal("--log-driver", "gelf"), "error looking up logging plugin gelf", "gelf");
			includes(
				await refusal("--log-driver", "local", "--log-opt", "x=1"),
				"unknown log opt 'x' for log driver local",
				"x",
			);
			const nowhere = ["--log-driver", "syslog", "--log-opt", `syslog-address=unix://${directory}/nobody`];
			includes(await refusal(...nowhere), "failed to initialize logging driver: dial unix", "syslog");
			if (!existsSync("/run/systemd/journal/socket")) {
				includes(await refusal("--log-driver", "journald"), "journald is not enabled on this host", "journald");
			}
			await docker("run", "--name", "silent", "--log-driver", "none", "busybox", "echo", "hello");
			const { stderr } = await docker.run(["logs", "silent"]);
			includes(stderr, "configured logging driver does not support reading", "none");
		}),
		step("an attached exec does not claim success when the supervisor is killed", async (lab) => {
			await lab.docker("run", "-d", "--name", "execs", ...SLEEP);
			const attached = lab.docker.start(["exec", "execs", "sleep", "3"]);
			await eventually("it runs", async () => (await lab.docker("top", "execs")).includes("sleep 3"));
			process.kill(supervisorPid(lab), "SIGKILL");
			// Nobody hears it any more, so it is ended.
			equal((await attached.result).code, 137, "exit code");
			equal(await lab.docker("inspect", "-f", "{{.State.Status}}", "execs"), "running", "the container");
		}),
		step("the next daemon knows execs that run", async ({ docker, engine }) => {
			await docker("exec", "-d", "-u", "1:1", "execs", "sleep", "1000");
			const ids = () => docker("inspect", "-f", "{{json .ExecIDs}}", "execs");
			const before = await ids();
			await engine.kill();
			await engine.start();
			equal([await ids(), JSON.parse(before).length], [before, 1], "ExecIDs");
			const [id] = JSON.parse(before) as string[];
			const unix = engine.host.replace("unix://", "");
			const reply = await fetch(`http://localhost/exec/${id}/json`, { unix });
			const { Running, ProcessConfig } = (await reply.json()) as { Running: boolean; ProcessConfig: object };
			const expected = { tty: false, entrypoint: "sleep", arguments: ["1000"], privileged: false, user: "1:1" };
			equal([Running, ProcessConfig], [true, expected], "inspect");
		}),
		step("a container joins the IPC of another, with its /dev/shm", async ({ docker }) => {
			await docker("run", "-d", "--name", "donor", "--ipc", "shareable", "--shm-size", "8m", ...SLEEP);
			await docker("exec", "donor", "sh", "-c", "echo shared > /dev/shm/file");
			equal(
				await docker("run", "--rm", "--ipc", "container:donor", "busybox", "cat", "/dev/shm/file"),
				"shared",
				"file",
			);
			const { stderr } = await docker.run(["run", "--rm", "--ipc", "container:execs", "busybox", "true"]);
			includes(stderr, "non-shareable IPC", "a private one");
			await docker("rm", "-f", "donor");
		}),
		step("a cgroup parent goes with its last container", async ({ docker, engine }) => {
			const parent = `/${engine.instance}-parent/inner`;
			for (const name of ["one", "two"]) await docker("run", "-d", "--name", name, "--cgroup-parent", parent, ...SLEEP);
			const there = () => ["", "memory"].some((at) => existsSync(`/sys/fs/cgroup/${at}/${engine.instance}-parent`));
			await docker("rm", "-f", "one");
			equal(there(), true, "with one left");
			await docker("rm", "-f", "two");
			equal(there(), false, "afterwards");
		}),
	],
};
