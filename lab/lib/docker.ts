/** What a docker command did. Output is whole and untrimmed at the end only of its last newline. */
export interface DockerResult {
	readonly code: number;
	readonly stdout: string;
	readonly stderr: string;
}

/** The real docker CLI against one engine. */
export interface Docker {
	/** Runs to its end; throws with stderr when it fails. Returns stdout without the last newline. */
	(...argv: string[]): Promise<string>;
	/** Runs to its end whatever the exit code. `stdin` is closed when not given. */
	run(argv: readonly string[], options?: { stdin?: string | Uint8Array; timeoutMs?: number }): Promise<DockerResult>;
	/** What the CLI is started with, for programs that start it themselves. */
	readonly env: Readonly<Record<string, string>>;
	/** Starts and returns at once; `result` settles when it ends. */
	start(argv: readonly string[]): { readonly result: Promise<DockerResult>; kill(): void };
}

/** `host` is unix:///path. A config directory of its own keeps contexts and credentials of the machine out. */
export function createDocker(host: string, configDirectory: string): Docker {
	const env = {
		PATH: process.env.PATH ?? "/usr/sbin:/usr/bin:/sbin:/bin",
		DOCKER_HOST: host,
		DOCKER_CONFIG: configDirectory,
		LC_ALL: "C.UTF-8",
	};
	const spawn = (argv: readonly string[], stdin: string | Uint8Array | undefined) => {
		const input = stdin === undefined ? "ignore" : Buffer.from(stdin);
		const child = Bun.spawn(["docker", ...argv], { env, stdin: input, stdout: "pipe", stderr: "pipe" });
		const result = (async () => {
			const [stdout, stderr, code] = await Promise.all([
				new Response(child.stdout).text(),
				new Response(child.stderr).text(),
				child.exited,
			]);
			return { code, stdout: chomp(stdout), stderr: chomp(stderr) };
		})();
		return { result, kill: () => child.kill("SIGKILL") };
	};
	const run: Docker["run"] = async (argv, { stdin, timeoutMs = 30_000 } = {}) => {
		const child = spawn(argv, stdin);
		let timedOut = false;
		const timer = setTimeout(() => {
			timedOut = true;
			child.kill();
		}, timeoutMs);
		const result = await child.result.finally(() => clearTimeout(timer));
		if (timedOut) throw new Error(`docker ${argv.join(" ")}: no end within ${timeoutMs} ms; stderr: ${result.stderr}`);
		return result;
	};
	const call = async (...argv: string[]): Promise<string> => {
		const { code, stdout, stderr } = await run(argv);
		if (code !== 0) throw new Error(`docker ${argv.join(" ")}: exit code ${code}: ${stderr}`);
		return stdout;
	};
	return Object.assign(call, { run, env, start: (argv: readonly string[]) => spawn(argv, undefined) });
}

function chomp(text: string): string {
	return text.endsWith("\n") ? text.slice(0, -1) : text;
}
