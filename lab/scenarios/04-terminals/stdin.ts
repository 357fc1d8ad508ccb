import { createHash, randomBytes } from "node:crypto";
import { equal, eventually, includes } from "../../lib/assert.ts";
import { type Step, step } from "../../lib/scenario.ts";

const MEGABYTE = 1024 * 1024;

/** Stdin by pipe: whole, half-closed, left unread, cut off. */
export const stdinSteps: readonly Step[] = [
	step("100 MB through docker run -i and docker exec -i come back unchanged", async ({ docker }) => {
		const input = randomBytes(100 * MEGABYTE);
		const sum = createHash("md5").update(input).digest("hex");
		const run = await docker.run(["run", "--rm", "-i", "busybox", "md5sum"], { stdin: input });
		equal(run.stdout, `${sum}  -`, "md5sum in the container");
		await docker("run", "-d", "--name", "piped", "busybox", "sleep", "1000");
		const count = ["sh", "-c", "tee /tmp/in | wc -c; md5sum </tmp/in"];
		const exec = await docker.run(["exec", "-i", "piped", ...count], { stdin: input });
		equal(exec.stdout, `${input.length}\n${sum}  -`, "wc and md5sum by exec");
	}),
	step("output of 100 MB is whole", async ({ docker }) => {
		const { stdout } = await docker.run(["run", "--rm", "busybox", "sh", "-c", "yes 0123456 | head -c 104857600"]);
		equal(stdout.length, 100 * MEGABYTE - 1, "bytes, without the last newline");
	}),
	step("the end of input reaches the process, also when it came before the start", async ({ docker }) => {
		for (let i = 0; i < 5; i++) {
			const run = await docker.run(["run", "--rm", "-i", "busybox", "sh", "-c", "cat; echo done"], { stdin: "x\n" });
			equal([run.code, run.stdout], [0, "x\ndone"], "run");
		}
		const exec = await docker.run(["exec", "-i", "piped", "sh", "-c", "cat; echo done; exit 3"], { stdin: "x\n" });
		equal([exec.code, exec.stdout], [3, "x\ndone"], "exec");
	}),
	step("a process that leaves its input unread: its output is whole, and the client ends well", async ({ docker }) => {
		const input = Buffer.alloc(20 * MEGABYTE, "y");
		for (const argv of [
			["run", "--rm", "-i", "busybox"],
			["exec", "-i", "piped"],
		]) {
			const { code, stdout, stderr } = await docker.run([...argv, "head", "-c", "5"], { stdin: input });
			equal({ code, stdout, stderr }, { code: 0, stdout: "yyyyy", stderr: "" }, argv[0] ?? "");
		}
	}),
	step("a client killed amid input: the process sees the end of it", async ({ docker }) => {
		const script = "cat >/dev/null; echo ended >/tmp/ended";
		const cut = async (...argv: string[]) => {
			const pipe = ["sh", "-c", 'yes | exec docker "$@"', "sh", ...argv];
			const child = Bun.spawn(pipe, { env: docker.env, stdout: "ignore", stderr: "ignore", detached: true });
			await Bun.sleep(700);
			process.kill(-child.pid, "SIGKILL");
		};
		await cut("exec", "-i", "piped", "sh", "-c", script);
		await eventually("the exec ended", async () => (await docker("exec", "piped", "cat", "/tmp/ended")) === "ended");
		await cut("run", "-i", "--name", "cut", "busybox", "sh", "-c", "cat >/dev/null; echo ended; exit 4");
		const state = ["inspect", "-f", "{{.State.Status}} {{.State.ExitCode}}", "cut"];
		await eventually("the container ended", async () => (await docker(...state)) === "exited 4");
		equal(await docker("logs", "cut"), "ended", "its log");
	}),
	step("--attach takes the streams it names", async ({ docker }) => {
		const script = "echo out; echo err >&2; cat; exit 2";
		const cases: [string[], string, string][] = [
			[["-a", "stdout"], "out", ""],
			[["-a", "stderr"], "", "err"],
			[["-a", "stdin", "-i"], "", ""],
			[["-a", "stdin", "-a", "stdout", "-i"], "out\nin", ""],
			[["-a", "stdout", "-a", "stderr"], "out", "err"],
		];
		for (const [flags, stdout, stderr] of cases) {
			const result = await docker.run(["run", "--rm", ...flags, "busybox", "sh", "-c", script], { stdin: "in\n" });
			// with stdin alone docker prints the id
			const shown = result.stdout.replace(/[0-9a-f]{64}/, "");
			equal({ ...result, stdout: shown }, { code: 2, stdout, stderr }, flags.join(" "));
		}
	}),
	step("stdin that stays open takes one client after another", async ({ docker }) => {
		await docker("run", "-di", "--name", "open", "busybox", "sh", "-c", "read a; read b; echo $a $b; exit 6");
		for (const word of ["one\n", "two\n"]) {
			await docker.run(["attach", "open"], { stdin: word, timeoutMs: 1500 }).catch(() => {});
		}
		equal(await docker("wait", "open"), "6", "exit code");
		includes(await docker("logs", "open"), "one two", "log");
		await docker("rm", "-f", "piped", "cut", "open");
	}),
];
