import { UsageError } from "../shared/usage-error.ts";
import { authFor, readRegistryCredentials } from "./registry-credentials.ts";

export const IMAGE_USAGE = `usage: foredeck image pull --all-platforms NAME[:TAG|@DIGEST] [--quiet] [daemon flags]
(for the rest: docker image)`;

const FLAGS = ["--all-platforms", "--quiet", "-q"];

interface PullLine {
	readonly id?: string;
	readonly status?: string;
	readonly error?: string;
}

/** The words and flags that are this command's own; the rest is for finding the daemon. */
export function splitImageArguments(argv: readonly string[]): { own: string[]; daemon: string[] } {
	const own: string[] = [];
	const daemon: string[] = [];
	for (let at = 0; at < argv.length; at++) {
		const word = argv[at] ?? "";
		if (!word.startsWith("-") || FLAGS.includes(word)) own.push(word);
		else if (word.includes("=") || argv[at + 1] === undefined) daemon.push(word);
		else daemon.push(word, argv[++at] ?? "");
	}
	return { own, daemon };
}

/**
 * `image pull --all-platforms NAME`: has the daemon at `host` keep an index with all of its platforms, and prints each step. Logs in with what
 * `docker login` keeps. Throws UsageError, and Error with the daemon's words.
 */
export async function runImage(
	argv: readonly string[],
	host: string,
	print: (line: string) => void,
	env: NodeJS.ProcessEnv = process.env,
): Promise<number> {
	const [command, name, ...more] = argv.filter((word) => !FLAGS.includes(word));
	if (command !== "pull" || !name || more.length > 0 || !argv.includes("--all-platforms"))
		throw new UsageError(IMAGE_USAGE);
	const isQuiet = argv.includes("--quiet") || argv.includes("-q");
	const auth = authFor(await readRegistryCredentials(env), name);
	const { reference, tag } = splitName(name);
	const query = new URLSearchParams({ fromImage: reference, tag, platform: "all" });
	const { url, unix } = endpoint(host);
	const headers = auth && { "X-Registry-Auth": Buffer.from(JSON.stringify(auth)).toString("base64url") };
	const reply = await fetch(`${url}/images/create?${query}`, { method: "POST", unix, headers });
	if (!reply.ok) throw new Error(messageIn(await reply.text()));
	const shown = new Map<string, string>();
	for await (const { id = "", status = "", error } of linesOf<PullLine>(reply)) {
		if (error !== undefined) throw new Error(error);
		if (isQuiet || shown.get(id) === status) continue;
		shown.set(id, status);
		print(id === "" ? status : `${id}: ${status}`);
	}
	if (isQuiet) print(name);
	return 0;
}

/** The daemon takes a name without a tag for all tags; whoever types one means `latest`. */
function splitName(name: string): { reference: string; tag: string } {
	const at = name.indexOf("@");
	if (at >= 0) return { reference: name.slice(0, at), tag: name.slice(at + 1) };
	const colon = name.lastIndexOf(":");
	const hasTag = colon > name.lastIndexOf("/");
	return hasTag ? { reference: name.slice(0, colon), tag: name.slice(colon + 1) } : { reference: name, tag: "latest" };
}

async function* linesOf<T>(reply: Response): AsyncGenerator<T> {
	const decoder = new TextDecoder();
	let rest = "";
	for await (const chunk of reply.body ?? []) {
		const lines = (rest + decoder.decode(chunk, { stream: true })).split("\n");
		rest = lines.pop() ?? "";
		for (const line of lines) if (line.trim() !== "") yield JSON.parse(line) as T;
	}
}

function endpoint(host: string): { url: string; unix?: string } {
	if (host.startsWith("unix://")) return { url: "http://localhost", unix: host.slice("unix://".length) };
	return { url: host.replace(/^tcp:/, "http:") };
}

function messageIn(text: string): string {
	try {
		return (JSON.parse(text) as { message?: string }).message ?? text;
	} catch {
		return text;
	}
}
