import { chmodSync, chownSync, mkdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { equal, eventually, includes } from "../../lib/assert.ts";
import { loadImage } from "../../lib/load-image.ts";
import type { Lab, Scenario } from "../../lib/scenario.ts";
import { step } from "../../lib/scenario.ts";

/** Long enough to outlive the scenario. */
const SLEEP = ["busybox", "sleep", "1000"] as const;

const inspect = ({ docker }: Lab, name: string, format: string) => docker("inspect", "-f", format, name);

/** A number of the container's cgroup, v1 or v2. */
async function cgroupNumber(lab: Lab, name: string, v1: string, v2: string): Promise<string> {
	const pid = await inspect(lab, name, "{{.State.Pid}}");
	const rows = readFileSync(`/proc/${pid}/cgroup`, "utf8").split("\n");
	const controller = v1.split("/")[0] ?? "";
	const own = rows.find((row) => row.split(":")[1]?.split(",").includes(controller));
	if (own) return readFileSync(`/sys/fs/cgroup/${controller}${own.split(":")[2]}/${v1.split("/")[1]}`, "utf8").trim();
	return readFileSync(`/sys/fs/cgroup${rows.find((row) => row.startsWith("0::"))?.slice(3)}/${v2}`, "utf8").trim();
}

const health = (lab: Lab, name: string) => inspect(lab, name, "{{.State.Health.Status}}");

export const scenario: Scenario = {
	title: "files, limits, statistics and health of containers that run",
	steps: [
		step("containers with a bind, a tmpfs and a read-only place run", async (lab) => {
			await loadImage(lab, "busybox");
			mkdirSync(`${lab.directory}/shared`);
			writeFileSync(`${lab.directory}/shared/theirs`, "bound\n");
			const mounts = [
				"-v",
				`${lab.directory}/shared:/bound`,
				"-v",
				`${lab.directory}/shared:/ro:ro`,
				"--tmpfs",
				"/tmp/t",
			];
			await lab.docker("run", "-d", "--name", "files", ...mounts, ...SLEEP);
			await lab.docker("run", "-d", "--name", "readonly", "--read-only", ...SLEEP);
		}),
		step("docker cp brings a tree in, and out again as it was", async ({ docker, directory }) => {
			mkdirSync(`${directory}/tree/deep`, { recursive: true });
			writeFileSync(`${directory}/tree/deep/file`, "content\n");
			chmodSync(`${directory}/tree/deep/file`, 0o4711);
			symlinkSync("deep/file", `${directory}/tree/link`);
			chownSync(`${directory}/tree/deep/file`, 1234, 1235);
			chmodSync(`${directory}/tree/deep/file`, 0o4711);
			await docker("cp", "-a", `${directory}/tree`, "files:/tree");
			equal(await docker("exec", "files", "stat", "-c", "%a %u %g", "/tree/deep/file"), "4711 1234 1235", "inside");
			equal(await docker("exec", "files", "cat", "/tree/link"), "content", "through the link");
			await docker("cp", "-a", "files:/tree", `${directory}/back`);
			equal(statSync(`${directory}/back/deep/file`).mode & 0o7777, 0o4711, "mode outside");
			equal(readFileSync(`${directory}/back/link`, "utf8"), "content\n", "link outside");
		}),
		step("through a bind and a tmpfs, in both directions", async ({ docker, directory }) => {
			writeFileSync(`${directory}/mine`, "mine\n");
			await docker("cp", `${directory}/mine`, "files:/bound/mine");
			equal(readFileSync(`${directory}/shared/mine`, "utf8"), "mine\n", "on the host");
			await docker("cp", `${directory}/mine`, "files:/tmp/t/mine");
			equal(await docker("exec", "files", "cat", "/tmp/t/mine"), "mine", "in the tmpfs");
			await docker("cp", "files:/bound/theirs", `${directory}/theirs`);
			equal(readFileSync(`${directory}/theirs`, "utf8"), "bound\n", "out of the bind");
		}),
		step("docker cp - streams a tar either way", async ({ docker, directory }) => {
			const tar = Bun.spawnSync(["tar", "-C", directory, "-cz", "mine"]).stdout;
			equal((await docker.run(["cp", "-", "files:/home"], { stdin: tar })).code, 0, "exit code");
			equal(await docker("exec", "files", "cat", "/home/mine"), "mine", "what arrived");
			includes(await docker("cp", "files:/home/mine", "-"), "mine", "what came back");
		}),
		step("a link of the container to the host's files leads to its own", async ({ docker, directory }) => {
			await docker("exec", "files", "ln", "-s", directory, "/escape");
			const out = await docker.run(["cp", "files:/escape/mine", `${directory}/stolen`]);
			includes(out.stderr, "Could not find the file /escape/mine in container files", "out");
			const back = await docker.run(["cp", `${directory}/mine`, "files:/escape/planted"]);
			equal(back.code === 0, false, "in");
		}),
		step("read-only places refuse, and what is not there is named", async ({ docker, directory }) => {
			const refused = async (target: string) => (await docker.run(["cp", `${directory}/mine`, target])).stderr;
			includes(await refused("readonly:/home/"), "container rootfs is marked read-only", "read-only root");
			includes(await refused("files:/ro/"), "mounted volume is marked read-only", "read-only bind");
			const none = await docker.run(["cp", "files:/none", `${directory}/none`]);
			includes(none.stderr, "Could not find the file /none in container files", "missing file");
		}),
		step("a stopped container is copied from and to, and starts with it", async ({ docker, directory }) => {
			await docker("stop", "-t", "0", "files");
			await docker("cp", `${directory}/mine`, "files:/home/later");
			await docker("cp", `${directory}/mine`, "files:/bound/later");
			await docker("cp", "files:/tree/deep/file", `${directory}/again`);
			equal(readFileSync(`${directory}/again`, "utf8"), "content\n", "out");
			equal(readFileSync(`${directory}/shared/later`, "utf8"), "mine\n", "into the bind");
			await docker("start", "files");
			equal(await docker("exec", "files", "cat", "/home/later"), "mine", "in");
		}),
		step("docker update changes the running container's cgroup", async (lab) => {
			await lab.docker("run", "-d", "--name", "limited", "-m", "64m", "--pids-limit", "50", ...SLEEP);
			await lab.docker("update", "-m", "128m", "--memory-swap", "256m", "--pids-limit", "70", "limited");
			const limits = async () => [
				await cgroupNumber(lab, "limited", "memory/memory.limit_in_bytes", "memory.max"),
				await cgroupNumber(lab, "limited", "pids/pids.max", "pids.max"),
			];
			equal(await limits(), [String(128 << 20), "70"], "limits");
			await lab.docker("update", "--pids-limit", "-1", "--restart", "always", "limited");
			equal((await limits())[1], "max", "pids limit taken away");
			await lab.docker("restart", "-t", "0", "limited");
			equal(await limits(), [String(128 << 20), "max"], "limits after a restart");
			equal(await inspect(lab, "limited", "{{.HostConfig.RestartPolicy.Name}}"), "always", "policy");
		}),
		step("docker update refuses what cannot be, and changes nothing", async (lab) => {
			const { code, stderr } = await lab.docker.run(["update", "-m", "1g", "limited"]);
			equal(code, 1, "exit code");
			includes(stderr, "update the memoryswap at the same time", "reason");
			equal(await inspect(lab, "limited", "{{.HostConfig.Memory}}"), String(128 << 20), "limit");
		}),
		step("docker stats shows the cgroup's numbers", async (lab) => {
			const row = await lab.docker("stats", "--no-stream", "--format", "{{.Name}} {{.PIDs}} {{.MemUsage}}", "limited");
			includes(row, "limited 1 ", "name and processes");
			includes(row, "/ 128MiB", "limit");
			await lab.docker("stop", "-t", "0", "files");
			const stopped = await lab.docker("stats", "--no-stream", "--format", "{{.PIDs}} {{.MemUsage}}", "files");
			equal(stopped, "0 0B / 0B", "a stopped one");
		}),
		step("a health check turns a container unhealthy and healthy", async (lab) => {
			const check = ["--health-cmd", "test -f /ok", "--health-interval", "200ms", "--health-retries", "2"];
			await lab.docker("run", "-d", "--name", "checked", ...check, ...SLEEP);
			includes(
				await lab.docker("ps", "--filter", "name=checked", "--format", "{{.Status}}"),
				"(health: starting)",
				"at first",
			);
			await eventually("unhealthy", async () => (await health(lab, "checked")) === "unhealthy");
			equal(await lab.docker("ps", "--filter", "health=unhealthy", "--format", "{{.Names}}"), "checked", "filter");
			await lab.docker("exec", "checked", "touch", "/ok");
			await eventually("healthy", async () => (await health(lab, "checked")) === "healthy");
			const until = String(Math.ceil(Date.now() / 1000));
			const events = await lab.docker("events", "--since", "60s", "--until", until, "--filter", "container=checked");
			includes(events, "health_status: unhealthy", "events");
			includes(events, "health_status: healthy", "events");
		}),
		step("kill -9 of the daemon: the next one goes on checking", async (lab) => {
			await lab.engine.kill();
			await lab.engine.start();
			equal(await health(lab, "checked"), "healthy", "after the restart");
			await lab.docker("exec", "checked", "rm", "/ok");
			await eventually("unhealthy", async () => (await health(lab, "checked")) === "unhealthy");
		}),
		step("everything goes", async ({ docker }) => {
			await docker("rm", "-f", "files", "readonly", "limited", "checked");
		}),
	],
};
