import { readFileSync } from "node:fs";
import { equal, eventually, includes } from "../../lib/assert.ts";
import { loadImage } from "../../lib/load-image.ts";
import { type Lab, type Scenario, type Step, step } from "../../lib/scenario.ts";
import { stdinSteps } from "./stdin.ts";
import { openTerminal, type Terminal } from "./terminal.ts";
import { transportSteps } from "./transports.ts";

/** A step at a terminal of its own. */
function atTerminal(name: string, run: (lab: Lab, terminal: Terminal) => Promise<void>): Step {
	return step(name, async (lab) => {
		const terminal = await openTerminal(lab, 100, 30);
		try {
			await run(lab, terminal);
		} finally {
			await terminal.close();
		}
	});
}

const running = async ({ docker }: Lab, name: string) => await docker("inspect", "-f", "{{.State.Running}}", name);

/** Prints MARK by a sum, so that the typed line is not taken for its output. */
async function answers(terminal: Terminal): Promise<void> {
	await terminal.line("echo mark$((20+22))");
	await terminal.shows("mark42");
}

const terminalSteps: readonly Step[] = [
	atTerminal("docker run -it: size, Ctrl-C, Ctrl-D, exit codes", async (_lab, terminal) => {
		await terminal.command("docker run -it --rm busybox");
		await terminal.shows("/ #");
		await terminal.line("stty size");
		await terminal.shows("30 100");
		await terminal.resize(77, 22);
		await Bun.sleep(300);
		await terminal.line("stty size");
		await terminal.shows("22 77");
		await terminal.line("sleep 100");
		await Bun.sleep(300);
		await terminal.press("C-c");
		await terminal.line("echo rc=$?");
		await terminal.shows("rc=130");
		await terminal.line("true");
		await terminal.press("C-d");
		equal(await terminal.exitCode(), 0, "exit code after Ctrl-D");
		await terminal.command("docker run -it --rm busybox sh -c 'exit 9'");
		await Bun.sleep(500);
		equal(await terminal.exitCode(), 9, "exit code");
	}),
	atTerminal(
		"docker attach: detach by the default keys and by others, and the container runs on",
		async (lab, terminal) => {
			await lab.docker("run", "-dit", "--name", "shell", "busybox");
			await terminal.command("docker attach shell");
			await Bun.sleep(500);
			await terminal.line("x=41");
			await answers(terminal);
			await terminal.press("C-p", "C-q");
			await terminal.shows("read escape sequence");
			equal(await running(lab, "shell"), "true", "it runs on");
			await terminal.clear();
			await terminal.command("docker attach --detach-keys=a,b shell");
			await Bun.sleep(500);
			await terminal.line("echo x$x");
			await terminal.shows("x41");
			await terminal.press("a", "z", "a", "b");
			await terminal.shows("read escape sequence");
			equal(await running(lab, "shell"), "true", "it runs on");
		},
	),
	atTerminal("two clients share one terminal", async (lab, terminal) => {
		const other = await openTerminal(lab, 100, 30);
		for (const each of [terminal, other]) {
			await each.command("docker attach shell");
			await Bun.sleep(400);
		}
		await terminal.press("C-c");
		await answers(terminal);
		await other.shows("mark42");
		await terminal.press("C-p", "C-q");
		await terminal.shows("read escape sequence");
		await other.line("echo alone$((1+1))");
		await other.shows("alone2");
		await other.line("exit 8");
		equal(await other.exitCode(), 8, "exit code");
		await other.close();
	}),
	atTerminal("docker start -ai; docker exec -it: size, detach keys, exit code", async (lab, terminal) => {
		await terminal.command("docker start -ai shell");
		await Bun.sleep(800);
		await answers(terminal);
		await terminal.press("C-p", "C-q");
		equal(await terminal.exitCode(), 0, "exit code of docker start after detaching");
		await terminal.clear();
		await terminal.command("docker exec -it shell sh");
		await Bun.sleep(500);
		await terminal.line("stty size");
		await terminal.shows("30 100");
		await terminal.resize(66, 20);
		await Bun.sleep(300);
		await terminal.line("stty size");
		await terminal.shows("20 66");
		await terminal.press("C-p", "C-q");
		await terminal.shows("read escape sequence");
		await terminal.command("docker exec -it --detach-keys ctrl-x shell sh -c 'exit 6'");
		equal(await terminal.exitCode(), 6, "exit code");
		equal(await running(lab, "shell"), "true", "it runs on");
	}),
	atTerminal("signals: --sig-proxy passes them on, or not; --no-stdin types nothing", async (lab, terminal) => {
		const script = `trap "echo got; exit 5" INT; while :; do echo .; sleep 0.2; done`;
		await lab.docker("run", "-d", "--name", "signalled", "busybox", "sh", "-c", script);
		await terminal.command("docker attach --sig-proxy=false signalled");
		await Bun.sleep(700);
		// the CLI itself gives up at the third
		for (let i = 0; i < 3; i++) {
			await terminal.press("C-c");
			await Bun.sleep(300);
		}
		await terminal.shows("forcefully exiting");
		equal(await running(lab, "signalled"), "true", "without sig-proxy it runs on");
		await terminal.clear();
		await terminal.command("docker attach --no-stdin signalled");
		await Bun.sleep(700);
		await terminal.press("C-c");
		await terminal.shows("got");
		equal(await lab.docker("wait", "signalled"), "5", "exit code");
		await lab.docker("rm", "-f", "signalled");
	}),
	atTerminal("kill -9 of the daemon amid typing: the same shell is there to attach to again", async (lab, terminal) => {
		await terminal.command("docker attach shell");
		await Bun.sleep(500);
		await terminal.line("y=43; echo set$((1+1))");
		await terminal.shows("set2");
		await terminal.press("e", "c", "h", "o");
		// what the shell has echoed has reached it
		await terminal.shows("/ # echo");
		await lab.engine.kill();
		await terminal.exitCode();
		await lab.engine.start();
		await terminal.command("docker attach shell");
		await Bun.sleep(700);
		// what was typed before the crash is in the terminal's line still
		await terminal.line(" y$y");
		await terminal.shows("\ny43");
		await terminal.resize(60, 20);
		await Bun.sleep(300);
		await terminal.line("stty size");
		await terminal.shows("20 60");
		await lab.docker("rm", "-f", "shell");
	}),
];

const supervisorSteps: readonly Step[] = [
	atTerminal(
		"kill -9 of the supervisor: terminals and all others run on, and can be attached to",
		async (lab, terminal) => {
			const { docker, engine } = lab;
			const counter = "i=0; while :; do i=$((i+1)); echo $i; usleep 50000; done";
			await docker("run", "-dit", "--name", "terminal", "busybox");
			await docker("run", "-d", "--name", "counter", "busybox", "sh", "-c", counter);
			const following = docker.start(["logs", "-f", "counter"]);
			const waiting = docker.start(["wait", "terminal"]);
			const exec = docker.start(["exec", "counter", "sleep", "1000"]);
			await Bun.sleep(500);
			process.kill(Number.parseInt(readFileSync(`${engine.runRoot}/supervisor.pid`, "utf8"), 10), "SIGKILL");
			await exec.result;
			await terminal.command("docker attach terminal");
			await Bun.sleep(700);
			await answers(terminal);
			await terminal.resize(60, 20);
			await Bun.sleep(300);
			await terminal.line("stty size");
			await terminal.shows("20 60");
			await terminal.line("exit 6");
			equal(await terminal.exitCode(), 6, "exit code at the terminal");
			equal((await waiting.result).stdout, "6", "docker wait");
			equal(await running(lab, "counter"), "true", "the other runs");
			const lines = async () => (await docker("logs", "counter")).split("\n").map(Number);
			const before = (await lines()).length;
			const after = await eventually("more lines", async () => (await lines()).length > before && (await lines()));
			equal(
				after.find((line, i) => line !== i + 1),
				undefined,
				"first line out of order",
			);
			equal(await docker("exec", "counter", "echo", "exec"), "exec", "exec");
			includes(await docker("run", "--rm", "busybox", "echo", "new"), "new", "a new container");
			await docker("rm", "-f", "terminal", "counter");
			equal((await following.result).code, 0, "docker logs -f");
		},
	),
];

export const scenario: Scenario = {
	title: "terminals, streams and transports behave as docker's, and a crash ends none of them needlessly",
	steps: [
		step("an image loads", async (lab) => await loadImage(lab, "busybox")),
		...terminalSteps,
		...stdinSteps,
		...transportSteps,
		...supervisorSteps,
	],
};
