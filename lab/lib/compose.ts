import { existsSync } from "node:fs";
import { join } from "node:path";
import type { DockerResult } from "./docker.ts";
import { linkPlugin } from "./plugins.ts";
import type { Lab } from "./scenario.ts";

export interface ComposeSettings {
	/** The directory with compose.yaml. */
	readonly stack: string;
	readonly project: string;
	/** Files beside compose.yaml that are laid over it. */
	readonly overrides?: readonly string[];
	/** Before the command: `["--profile", "debug"]`. */
	readonly flags?: readonly string[];
	readonly env?: Readonly<Record<string, string>>;
	/** Of Compose: the plugin of the docker CLI (default), or Debian 12's docker-compose in Python. */
	readonly version?: 1 | 2;
}

/** Docker Compose on one stack. */
export interface Compose {
	/** Runs to its end; throws with stderr when it fails. Returns stdout without the last newline. */
	(...argv: string[]): Promise<string>;
	/** Runs to its end whatever the exit code. */
	run(argv: readonly string[], timeoutMs?: number): Promise<DockerResult>;
	/** Starts and returns at once. */
	start(argv: readonly string[]): RunningCompose;
	readonly project: string;
}

export interface RunningCompose {
	readonly stdout: ReadableStream<Uint8Array>;
	readonly stderr: ReadableStream<Uint8Array>;
	readonly exited: Promise<number>;
	/** As a terminal does: the CLI and its plugin both get it. */
	signal(signal: NodeJS.Signals): void;
}

const V1 = "/usr/bin/docker-compose";
/** Below the limit of a step, so that what Compose said is in the report. */
const WITHIN_MS = 55_000;

/** Whether Compose in Python is on this machine: Debian 13 has none. */
export function hasComposeV1(): boolean {
	return existsSync(V1) && Bun.spawnSync([V1, "version", "--short"]).stdout.toString().startsWith("1.");
}

export function createCompose({ docker }: Pick<Lab, "docker">, settings: ComposeSettings): Compose {
	const { stack, project, overrides = [], flags = [], version = 2 } = settings;
	if (version === 2) linkPlugin(docker.env.DOCKER_CONFIG ?? "", "compose");
	const program = version === 2 ? ["docker", "compose", "--ansi", "never"] : [V1, "--no-ansi"];
	const files = ["compose.yaml", ...overrides].flatMap((file) => ["-f", join(stack, file)]);
	const command = [...program, "--project-directory", stack, "-p", project, ...files, ...flags];
	// watch keeps a lock below HOME; v1 would leave exec to the docker CLI
	const own = { HOME: docker.env.DOCKER_CONFIG ?? stack, COMPOSE_INTERACTIVE_NO_CLI: "1" };
	const env = { ...docker.env, ...own, ...settings.env };
	const start: Compose["start"] = (argv) => {
		// a process group of its own
		const child = Bun.spawn(["setsid", ...command, ...argv], { env, stdin: "ignore", stdout: "pipe", stderr: "pipe" });
		return {
			stdout: child.stdout,
			stderr: child.stderr,
			exited: child.exited,
			signal: (signal) => {
				if (child.exitCode === null) process.kill(-child.pid, signal);
			},
		};
	};
	const run: Compose["run"] = async (argv, timeoutMs = WITHIN_MS) => {
		const child = start(argv);
		const timer = setTimeout(() => child.signal("SIGKILL"), timeoutMs);
		const [stdout, stderr] = await Promise.all([new Response(child.stdout).text(), new Response(child.stderr).text()]);
		const code = await child.exited.finally(() => clearTimeout(timer));
		return { code, stdout: stdout.replace(/\n$/, ""), stderr: stderr.replace(/\n$/, "") };
	};
	const call = async (...argv: string[]) => {
		const { code, stdout, stderr } = await run(argv);
		if (code !== 0) throw new Error(`compose ${argv.join(" ")}: exit code ${code}: ${stderr || stdout}`);
		return stdout;
	};
	return Object.assign(call, { run, start, project });
}
