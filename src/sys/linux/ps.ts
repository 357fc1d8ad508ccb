/** Runs `ps` on the host with these words. Used by `docker top`. */
export async function runPs(args: readonly string[]): Promise<{ exitCode: number; stdout: string; stderr: string }> {
	const child = Bun.spawn(["ps", ...args], { stdin: "ignore", stdout: "pipe", stderr: "pipe" });
	const [stdout, stderr, exitCode] = await Promise.all([
		new Response(child.stdout).text(),
		new Response(child.stderr).text(),
		child.exited,
	]);
	return { exitCode, stdout, stderr };
}
