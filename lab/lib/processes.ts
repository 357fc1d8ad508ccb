/** Runs a program to its end and gives its output; throws with its messages when it fails. */
export async function run(argv: readonly string[], options: { readonly cwd?: string } = {}): Promise<string> {
	const env = { ...process.env, LC_ALL: "C.UTF-8", DEBIAN_FRONTEND: "noninteractive" };
	const child = Bun.spawn([...argv], { ...options, env, stdin: "ignore", stdout: "pipe", stderr: "pipe" });
	const [stdout, stderr] = await Promise.all([new Response(child.stdout).text(), new Response(child.stderr).text()]);
	const code = await child.exited;
	if (code !== 0) throw new Error(`${argv.join(" ")}: exit code ${code}: ${stderr.trim() || stdout.trim()}`);
	return stdout;
}
