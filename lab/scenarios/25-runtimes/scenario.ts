import { chmodSync, copyFileSync, readFileSync, renameSync } from "node:fs";
import { equal, eventually, includes } from "../../lib/assert.ts";
import { loadImage } from "../../lib/load-image.ts";
import type { Lab, Scenario } from "../../lib/scenario.ts";
import { step } from "../../lib/scenario.ts";

const RUNTIMES = ["crun", "runc"];
const inspect = ({ docker }: Lab, name: string, format: string) => docker("inspect", "-f", format, name);
const own = (directory: string) => `${directory}/own-runc`;

/** Exit code and what the CLI says. */
async function failing({ docker }: Lab, ...args: string[]): Promise<[number, string]> {
	const { code, stdout, stderr } = await docker.run(args);
	return [code, stdout + stderr];
}

async function both(run: (runtime: string, name: string) => Promise<void>): Promise<void> {
	for (const runtime of RUNTIMES) await run(runtime, `on-${runtime}`);
}

export const scenario: Scenario = {
	title: "containers run with the OCI runtime that they name",
	flags: (directory) => ["--add-runtime", `own=${own(directory)}`, "--default-runtime", "crun"],
	steps: [
		step("info has what is installed and what is configured; the default is shown", async (lab) => {
			await loadImage(lab, "busybox");
			const known = await lab.docker(
				"info",
				"-f",
				"{{range $name, $_ := .Runtimes}}{{$name}} {{end}}{{.DefaultRuntime}}",
			);
			equal(known, "crun io.containerd.runc.v2 own runc crun", "runtimes");
		}),
		step("a name that nobody knows is refused, and nothing is made", async (lab) => {
			const [code, text] = await failing(lab, "create", "--name", "none", "--runtime", "nosuch", "busybox");
			equal(code, 1, "exit code");
			includes(text, "unknown or invalid runtime name: nosuch", "text");
			equal(await lab.docker("ps", "-aq"), "", "containers");
		}),
		step("exit codes and words of commands that cannot run are docker's with each", (lab) =>
			both(async (runtime) => {
				const run = (...args: string[]) => failing(lab, "run", "--rm", "--runtime", runtime, ...args);
				equal((await run("busybox", "sh", "-c", "exit 42"))[0], 42, `${runtime}: its own`);
				const [missing, why] = await run("busybox", "nosuch");
				equal(missing, 127, `${runtime}: missing`);
				includes(why, 'exec: "nosuch": executable file not found in $PATH', `${runtime}: missing`);
				equal((await run("busybox", "/etc/passwd"))[0], 126, `${runtime}: not executable`);
				equal(
					(await run("-w", "/proc/self/fd/7", "busybox", "ls", "../../../.."))[0] > 124,
					true,
					`${runtime}: CVE-2024-21626`,
				);
			}),
		),
		step("what a container may do is the same with each", (lab) =>
			both(async (runtime) => {
				const run = (...args: string[]) => lab.docker("run", "--rm", "--runtime", runtime, ...args);
				const status = await run("busybox", "grep", "-E", "^(CapEff|CapInh|Seccomp):", "/proc/self/status");
				equal(status, "CapInh:\t0000000000000000\nCapEff:\t00000000a80425fb\nSeccomp:\t2", `${runtime}: status`);
				const tries =
					"unshare -m true; mount -t tmpfs x /tmp; echo 1 >/proc/sysrq-trigger; ls /sys/firmware | wc -l; cat /proc/kcore | wc -c";
				const [, denied] = await failing(lab, "run", "--rm", "--runtime", runtime, "busybox", "sh", "-c", tries);
				for (const part of ["unshare: ", "mount: permission denied", "can't create /proc/sysrq-trigger"])
					includes(denied, part, `${runtime}: denied`);
				equal(
					await run("-u", "1000:2000", "--group-add", "33", "busybox", "id"),
					"uid=1000 gid=2000 groups=33,2000",
					`${runtime}: user`,
				);
				const open = await run(
					"--privileged",
					"busybox",
					"sh",
					"-c",
					"mount -t tmpfs x /tmp && grep Seccomp: /proc/self/status",
				);
				equal(open, "Seccomp:\t0", `${runtime}: privileged`);
			}),
		),
		step("containers run on each, and on one of the settings", async (lab) => {
			const { docker, directory } = lab;
			copyFileSync(Bun.which("runc") ?? "/usr/sbin/runc", own(directory));
			chmodSync(own(directory), 0o755);
			await both((runtime, name) =>
				docker("run", "-d", "-it", "--name", name, "--runtime", runtime, "--memory", "64m", "busybox").then(() => {}),
			);
			await docker("run", "-d", "--name", "own", "--runtime", "own", "--restart", "always", "busybox", "sleep", "1000");
			for (const name of ["on-crun", "on-runc", "own"])
				equal(
					await inspect(lab, name, "{{.State.Status}} {{.HostConfig.Runtime}}"),
					`running ${name.replace("on-", "")}`,
					name,
				);
			equal(
				readFileSync(`/proc/${await inspect(lab, "own", "{{.State.Pid}}")}/comm`, "utf8"),
				"sleep\n",
				"own's program",
			);
		}),
		step("exec, one after the other, with a terminal, and what cannot run", (lab) =>
			both(async (_runtime, name) => {
				for (const n of ["1", "2", "3", "4"]) equal(await lab.docker("exec", name, "echo", n), n, name);
				equal((await failing(lab, "exec", name, "sh", "-c", "exit 7"))[0], 7, `${name}: exit code`);
				equal((await failing(lab, "exec", name, "nosuch"))[0], 127, `${name}: missing`);
				equal((await failing(lab, "exec", name, "/etc"))[0], 126, `${name}: a directory`);
				includes(await lab.docker("exec", "-t", name, "tty"), "/dev/pts/", `${name}: terminal`);
				equal(await lab.docker("exec", "-u", "33:44", "-w", "/tmp", name, "sh", "-c", "id -u; pwd"), "33\n/tmp", name);
			}),
		),
		step("pause, update while paused and after, stats", (lab) =>
			both(async (_runtime, name) => {
				const { docker } = lab;
				await docker("pause", name);
				await docker("update", "--memory", "32m", "--memory-swap", "64m", name);
				await docker("unpause", name);
				await docker("update", "--pids-limit", "20", "--cpus", "0.5", name);
				await docker("update", "--pids-limit", "-1", name);
				// and is not forgotten by the next one
				await docker("update", "--memory-reservation", "16m", name);
				includes(await docker("stats", "--no-stream", "--format", "{{.MemUsage}}", name), "/ 32MiB", `${name}: stats`);
				equal(await inspect(lab, name, "{{.HostConfig.PidsLimit}}"), "0", `${name}: no limit of processes`);
				await docker("restart", "-t", "1", name);
				equal(await docker("exec", name, "echo", "again"), "again", `${name}: restarted`);
			}),
		),
		step("a full memory is told", (lab) =>
			both(async (runtime) => {
				const full = ["--memory", "16m", "busybox", "sh", "-c", "x=$(yes); true"];
				await lab.docker("run", "-d", "--name", "full", "--runtime", runtime, ...full);
				equal(await lab.docker("wait", "full"), "137", `${runtime}: exit code`);
				equal(await inspect(lab, "full", "{{.State.OOMKilled}}"), "true", `${runtime}: flag`);
				await lab.docker("rm", "full");
			}),
		),
		step("the daemon and the supervisor are killed: containers stay with their runtimes", async (lab) => {
			const { docker, engine } = lab;
			await engine.kill();
			await engine.start();
			await both(async (_runtime, name) =>
				equal(await docker("exec", name, "echo", "on"), "on", `${name}: daemon killed`),
			);
			process.kill(Number(readFileSync(`${engine.runRoot}/supervisor.pid`, "utf8").split(" ")[0]), "SIGKILL");
			const again = () => failing(lab, "exec", "own", "echo", "on").then(([code]) => code);
			await eventually("the next supervisor", async () => (await again()) === 0);
			await docker("update", "--memory", "48m", "--memory-swap", "48m", "own");
			await docker("kill", "own");
			equal(await inspect(lab, "own", "{{.State.ExitCode}}"), "137", "own: killed");
		}),
		step("a runtime that is gone fails its containers' start alone, and once it is back they start", async (lab) => {
			const { docker, engine, directory } = lab;
			renameSync(own(directory), `${own(directory)}.away`);
			const [code, text] = await failing(lab, "start", "own");
			equal(code, 1, "exit code");
			includes(text, `OCI runtime "own" is not installed: ${own(directory)}`, "text");
			await engine.kill();
			await engine.start();
			includes(readFileSync(engine.logFile, "utf8"), "OCI runtime not there", "the log");
			equal(await docker("run", "--rm", "busybox", "echo", "others run"), "others run", "another container");
			renameSync(`${own(directory)}.away`, own(directory));
			await docker("start", "own");
			equal(await inspect(lab, "own", "{{.State.Running}} {{.HostConfig.Runtime}}"), "true own", "back");
		}),
	],
};
