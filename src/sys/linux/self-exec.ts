/**
 * Runs a command to its end and gives what it printed; killed after `timeoutMs`. Throws with what it said on stderr when it fails or takes too long.
 * It gets no terminal, no input and none of our files.
 */
export async function runBounded(command: readonly string[], timeoutMs: number): Promise<string> {
	const child = Bun.spawn([...command], { stdin: "ignore", stdout: "pipe", stderr: "pipe" });
	let late = false;
	const timer = setTimeout(() => {
		late = true;
		child.kill("SIGKILL");
	}, timeoutMs);
	const [output, errors, code] = await Promise.all([
		new Response(child.stdout).text(),
		new Response(child.stderr).text(),
		child.exited,
	]).finally(() => clearTimeout(timer));
	if (late) throw new Error(`no end within ${timeoutMs} ms`);
	if (code !== 0) throw new Error(errors.trim() || `exit code ${code}`);
	return output;
}
