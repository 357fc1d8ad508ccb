import { spawn } from "node:child_process";
import { existsSync, readFileSync, writeFileSync } from "node:fs";

const CONTROL = "/sys/kernel/security/apparmor";
const PARSERS = ["/sbin/apparmor_parser", "/usr/sbin/apparmor_parser"];

/** Whether the kernel confines by AppArmor and the program that compiles profiles is installed. */
export function hasAppArmor(): boolean {
	return readOr("/sys/module/apparmor/parameters/enabled").trim() === "Y" && parser() !== undefined;
}

/** Whether a profile of this name is loaded. */
export function profileIsLoaded(name: string): boolean {
	// grep '^NAME (' /sys/kernel/security/apparmor/profiles
	return `\n${readOr(`${CONTROL}/profiles`)}`.includes(`\n${name} (`);
}

/** Compiles and loads the profiles in the text, in place of those of their names. Rejects with the parser's words. */
export async function loadProfiles(text: string): Promise<void> {
	const program = parser();
	if (program === undefined) throw new Error("cannot load an AppArmor profile: apparmor_parser is not installed");
	// apparmor_parser --replace --skip-cache <<<TEXT
	const child = spawn(program, ["--replace", "--skip-cache"], { stdio: ["pipe", "ignore", "pipe"] });
	let words = "";
	child.stderr.setEncoding("utf8").on("data", (chunk: string) => {
		words += chunk;
	});
	// A parser that ends at once has not read: its exit code tells.
	child.stdin.on("error", () => {});
	child.stdin.end(text);
	const code = await new Promise<number | null>((resolve, reject) => child.on("error", reject).on("close", resolve));
	if (code !== 0)
		throw new Error(`cannot load an AppArmor profile: apparmor_parser ends with ${code}: ${words.trim()}`);
}

/** Takes a profile out of the kernel; processes that it confines are free from then on. Nothing when it is not loaded. */
export function removeProfile(name: string): void {
	// printf NAME >/sys/kernel/security/apparmor/.remove
	if (profileIsLoaded(name)) writeFileSync(`${CONTROL}/.remove`, name);
}

function parser(): string | undefined {
	return PARSERS.find((path) => existsSync(path));
}

function readOr(path: string): string {
	try {
		return readFileSync(path, "utf8");
	} catch {
		return "";
	}
}
