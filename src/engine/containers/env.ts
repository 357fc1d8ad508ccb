const DEFAULT_PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

function keyOf(entry: string): string {
	return entry.split("=", 1)[0] ?? "";
}

/** `own` and those of `base` whose key `own` does not set; image's first, as docker shows them. */
export function mergeEnv(base: readonly string[], own: readonly string[]): string[] {
	const set = new Set(own.map(keyOf));
	return [...own, ...base.filter((entry) => !set.has(keyOf(entry)))];
}

/** What the process gets: PATH, HOSTNAME, TERM with a tty, HOME, then what was asked; an entry without `=` unsets. */
export function processEnv(
	env: readonly string[],
	options: { hostname: string; home: string; tty: boolean },
): string[] {
	const defaults = [DEFAULT_PATH, `HOSTNAME=${options.hostname}`, ...(options.tty ? ["TERM=xterm"] : [])];
	const values = new Map<string, string>();
	for (const entry of [...defaults, ...env]) {
		if (entry.includes("=")) values.set(keyOf(entry), entry);
		else values.delete(entry);
	}
	if (!values.has("HOME")) values.set("HOME", `HOME=${options.home}`);
	return [...values.values()];
}
