/** Bytes of all that is no directory below `path`, hard links counted once, as docker counts; 0 for an absent path. Off the event loop. */
export async function directorySize(path: string): Promise<number> {
	// find PATH -not -type d -printf ...: a process, so that a big tree does not hold the loop
	const argv = ["find", path, "-not", "-type", "d", "-printf", "%n %D:%i %s\\n"];
	const child = Bun.spawn(argv, { stdin: "ignore", stdout: "pipe", stderr: "ignore" });
	const linked = new Set<string>();
	const decoder = new TextDecoder();
	let rest = "";
	let sum = 0;
	for await (const chunk of child.stdout) {
		const lines = (rest + decoder.decode(chunk, { stream: true })).split("\n");
		rest = lines.pop() ?? "";
		for (const line of lines) {
			const [links, inode = "", size] = line.split(" ");
			if (links !== "1" && linked.has(inode)) continue;
			if (links !== "1") linked.add(inode);
			sum += Number(size);
		}
	}
	await child.exited;
	return sum;
}
