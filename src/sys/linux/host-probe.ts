import { dlopen } from "bun:ffi";
import { spawnSync } from "node:child_process";

/** stdout of a short command, or undefined when it is missing, fails or takes longer than 5 s. */
export function commandOutput(command: string, argv: readonly string[]): string | undefined {
	const { status, stdout } = spawnSync(command, argv, {
		encoding: "utf8",
		timeout: 5000,
		stdio: ["ignore", "pipe", "ignore"],
	});
	return status === 0 ? stdout : undefined;
}

const PROBE_MS = 5000;

/** The same without waiting for it; undefined as well when it has not ended after five seconds. */
export async function outputOf(path: string, args: readonly string[]): Promise<string | undefined> {
	try {
		const child = Bun.spawn([path, ...args], { stdin: "ignore", stdout: "pipe", stderr: "ignore", timeout: PROBE_MS });
		const text = await child.stdout.text();
		return (await child.exited) === 0 ? text : undefined;
	} catch {
		return undefined;
	}
}

/** Whether the dynamic loader finds a shared library by this name with this function in it. */
export function libraryHas(name: string, symbol: string): boolean {
	try {
		// ldconfig -p | grep NAME, without trusting the cache
		dlopen(name, { [symbol]: { args: [], returns: "void" } }).close();
		return true;
	} catch {
		return false;
	}
}
