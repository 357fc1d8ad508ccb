import { existsSync, writeFileSync } from "node:fs";
import { equal, includes } from "../../lib/assert.ts";
import { loadImage } from "../../lib/load-image.ts";
import type { Lab, Scenario } from "../../lib/scenario.ts";
import { step } from "../../lib/scenario.ts";

async function actions({ docker }: Lab, name: string): Promise<string[]> {
	const until = (Date.now() / 1000).toFixed(3);
	const filters = ["--filter", "type=container", "--filter", `container=${name}`];
	const text = await docker("events", "--since", "1", "--until", until, ...filters, "--format", "{{.Action}}");
	return text.split("\n");
}

/** An image that is a copy of busybox's root after these commands of a shell in it; its /etc may be anything. */
async function variant({ docker, directory }: Lab, name: string, commands: string): Promise<void> {
	const root = `${directory}/${name}`;
	const shell = Bun.spawn(["sh", "-ec", `mkdir ${root}; cd ${root}; tar x; ${commands}; tar cf ${root}.tar .`], {
		stdin: Bun.spawn(["docker", "export", "plain"], { env: docker.env, stdout: "pipe" }).stdout,
	});
	equal(await shell.exited, 0, `files of ${name}`);
	await docker("import", "-c", 'CMD ["sh"]', `${root}.tar`, name);
}

const PROGRAMS: readonly (readonly [program: string, code: number, text: string])[] = [
	["/etc", 126, 'exec: "/etc": is a directory: permission denied'],
	["/etc/passwd", 126, 'exec: "/etc/passwd": permission denied'],
	["/etc/passwd/x", 127, 'exec: "/etc/passwd/x": stat /etc/passwd/x: not a directory: Are you trying'],
	["..", 127, 'exec: "..": executable file not found in $PATH'],
	["/nosuch", 127, 'exec: "/nosuch": stat /nosuch: no such file or directory'],
];

const ODD_ROOTS: Readonly<Record<string, string>> = {
	"etc-dangling": "rm -r etc; ln -s /nowhere/etc etc",
	"etc-file": "rm -r etc; echo x > etc",
	"hosts-loop":
		"ln -sf hosts etc/hosts; ln -sf ../../../../../tmp/escaped etc/resolv.conf; ln -sf /run/x/y etc/hostname",
	"hosts-proc": "ln -sf /proc/self/mounts etc/hosts",
};

export const scenario: Scenario = {
	title: "what is seldom typed does what it does with dockerd",
	steps: [
		step("ends are told in docker's order", async (lab) => {
			const { docker } = lab;
			await loadImage(lab, "busybox");
			await docker("run", "-d", "--name", "stopped", "busybox", "sleep", "100");
			await docker("stop", "-t", "0", "stopped");
			equal(await actions(lab, "stopped"), ["create", "start", "kill", "kill", "stop", "die"], "stop");
			await docker("run", "-d", "--rm", "--name", "removed", "busybox", "sleep", "100");
			await docker("stop", "-t", "0", "removed");
			await docker.run(["wait", "removed"]);
			const ends = (await actions(lab, "removed")).slice(-3);
			equal(ends, ["stop", "die", "destroy"], "stop of one with --rm");
			await docker("run", "-d", "--name", "frozen", "busybox", "sleep", "100");
			await docker("pause", "frozen");
			await docker("kill", "frozen");
			equal(await actions(lab, "frozen"), ["create", "start", "pause", "kill", "die"], "kill of a paused one");
			await docker("run", "-di", "--name", "attached", "busybox", "cat");
			const client = docker.start(["attach", "attached"]);
			await Bun.sleep(300);
			client.kill();
			await client.result;
			await Bun.sleep(200);
			equal(await actions(lab, "attached"), ["create", "start", "attach"], "a client that goes");
			await docker("rm", "-f", "stopped", "frozen", "attached");
		}),
		step("programs that cannot run", async ({ docker }) => {
			await docker("run", "-d", "--name", "host", "busybox", "sleep", "1000");
			for (const [program, code, text] of PROGRAMS) {
				const exec = await docker.run(["exec", "host", program]);
				equal(exec.code, code, `exit code of exec ${program}`);
				includes(exec.stdout + exec.stderr, text, `exec ${program}`);
				const run = await docker.run(["run", "--rm", "busybox", program]);
				includes(run.stderr, text, `run ${program}`);
			}
			const file = await docker.run(["exec", "-w", "/etc/passwd", "host", "true"]);
			equal(file.code, 127, "exit code of exec in a file");
			includes(
				file.stdout + file.stderr,
				'chdir to cwd ("/etc/passwd") set in config.json failed: not a directory',
				"exec",
			);
			await docker("rm", "-f", "host");
		}),
		step("the working directory is there from the creation on", async (lab) => {
			const { docker, directory } = lab;
			await docker("create", "--name", "plain", "busybox");
			await variant(lab, "dangling", "ln -s /gone/away link; ln -s ../../../tmp/outside-of-26-edges out");
			await docker("create", "--name", "work", "-w", "/link/deep", "dangling", "cat", "input");
			writeFileSync(`${directory}/input`, "brought along");
			await docker("cp", `${directory}/input`, "work:/gone/away/deep/");
			equal(await docker("start", "-a", "work"), "brought along", "what was copied into it");
			equal(await docker("run", "--rm", "-w", "/out/x", "dangling", "ls", "/tmp"), "outside-of-26-edges", "inside");
			equal(existsSync("/tmp/outside-of-26-edges"), false, "a directory outside of the container");
			const refused = await docker.run(["run", "--rm", "-w", "/etc/passwd", "busybox", "true"]);
			includes(refused.stderr, "Cannot mkdir: /etc/passwd is not a directory", "a file as working directory");
			await docker("rm", "work");
		}),
		step("images whose /etc is odd start", async (lab) => {
			const look =
				"wc -l < /etc/resolv.conf | grep -qv '^0'; cat /etc/hostname; grep -c odd /etc/hosts; ls -l /etc/hosts | cut -c1";
			for (const [name, commands] of Object.entries(ODD_ROOTS)) {
				await variant(lab, name, commands);
				const shown = await lab.docker("run", "--rm", "--hostname", "odd", name, "sh", "-ec", look);
				equal(shown.split("\n"), ["odd", "1", "-"], name);
			}
			await lab.docker("rm", "plain");
		}),
		step("links are names", async ({ docker }) => {
			await docker("run", "-d", "--name", "db", "busybox", "sleep", "1000");
			await docker("run", "-d", "--name", "web", "--link", "db:data", "busybox", "sleep", "1000");
			equal(await docker("inspect", "-f", "{{.Name}}", "web/data"), "/db", "by the link");
			await docker("rename", "db", "base");
			await docker("rename", "web", "site");
			equal(await docker("exec", "site/data", "echo", "here"), "here", "exec by the link");
			equal(await docker("inspect", "-f", "{{.HostConfig.Links}}", "site"), "[/base:/site/data]", "after renames");
			await docker("rm", "--link", "site/data");
			equal(
				(await docker.run(["exec", "site", "grep", "data", "/etc/hosts"])).code,
				1,
				"a line of a link that is no more",
			);
			await docker("rm", "-f", "base", "site");
		}),
		step("memory without an end", async ({ docker }) => {
			await docker("run", "-d", "--name", "much", "--memory", String(2n ** 62n), "busybox", "sleep", "1000");
			// its last digits are lost
			equal(Number(await docker("inspect", "-f", "{{.HostConfig.Memory}}", "much")), 2 ** 62, "memory that is shown");
			await docker("rm", "-f", "much");
		}),
	],
};
