import { existsSync, mkdirSync, realpathSync, statSync } from "node:fs";
import { join } from "node:path";
import { EngineError, messageOf } from "../../shared/errors.ts";

export interface GitSource {
	/** What is fetched from; it may hold a password. */
	readonly remote: string;
	/** The remote as it may stand in files and messages. */
	readonly shown: string;
	readonly ref: string;
	readonly subdirectory: string;
}

/** Source: git(1), GIT_ALLOW_PROTOCOL. No local paths, no helpers of the user's. */
const PROTOCOLS = "http:https:git:ssh";
const KEPT = /^((https?|no|all)_proxy|SSL_CERT_(FILE|DIR)|GIT_SSL_CAINFO)$/i;
const LAST_CHARACTERS = 500;

/**
 * Fetches one commit of a repository, with its submodules, into `directory`, which is made: by the host's git, which sees no configuration of the
 * host's or a user's and asks nobody for a password. Returns the directory to build from: inside of `directory`, whatever links say.
 * Throws "unavailable" with git's words, "invalid" for a wrong subdirectory, "unsupported" without git.
 */
export async function cloneGit(source: GitSource, directory: string, signal: AbortSignal): Promise<string> {
	const { remote, shown, ref, subdirectory } = source;
	mkdirSync(directory, { recursive: true, mode: 0o700 });
	const git = (...argv: string[]) => runGit(source, directory, argv, signal);
	// An empty template: no hooks.
	await git("init", "-q", "--template=");
	// Relative submodules are found by it; what is in the repository's files may end up in an image.
	await git("config", "remote.origin.url", shown);
	const fetch = (...options: string[]) => git("fetch", "-q", "--no-tags", ...options, "--", remote, ref);
	await fetch("--depth=1").catch((error) => {
		// Web servers that know nothing of git have whole repositories only.
		if (!/shallow/.test(messageOf(error))) throw error;
		return fetch();
	});
	await git("checkout", "-q", "--detach", "FETCH_HEAD");
	if (existsSync(join(directory, ".gitmodules")))
		await git("submodule", "--quiet", "update", "--init", "--recursive", "--depth=1");
	return inside(directory, subdirectory);
}

function inside(directory: string, subdirectory: string): string {
	const root = realpathSync(directory);
	const wrong = (why: string) => new EngineError("invalid", `error setting git context, ${why}: ${subdirectory}`);
	let found: string;
	try {
		found = realpathSync(join(root, subdirectory));
	} catch (cause) {
		throw wrong(messageOf(cause).startsWith("ENOENT") ? "no such directory" : "not a directory");
	}
	if (found !== root && !found.startsWith(`${root}/`)) throw wrong("not within git root");
	if (!statSync(found).isDirectory()) throw wrong("not a directory");
	return found;
}

async function runGit(source: GitSource, directory: string, argv: readonly string[], signal: AbortSignal) {
	signal.throwIfAborted();
	const program = Bun.which("git");
	if (!program) throw new EngineError("unsupported", `cannot build from ${source.shown}: the engine's host has no git`);
	const child = Bun.spawn([program, "-C", directory, ...argv], {
		stdin: "ignore",
		stdout: "ignore",
		stderr: "pipe",
		env: environment(),
		// A process group of its own, as git has children.
		detached: true,
	});
	const stop = () => {
		if (child.exitCode === null) process.kill(-child.pid, "SIGKILL");
	};
	signal.addEventListener("abort", stop, { once: true });
	const [said, code] = await Promise.all([new Response(child.stderr).text(), child.exited]).finally(() =>
		signal.removeEventListener("abort", stop),
	);
	signal.throwIfAborted();
	if (code === 0) return;
	const words = said.replaceAll(source.remote, source.shown).trim().slice(-LAST_CHARACTERS);
	throw new EngineError("unavailable", `cannot build from ${source.shown}: git ${argv[0]}: ${words}`);
}

function environment(): Record<string, string | undefined> {
	return {
		...Object.fromEntries(Object.entries(process.env).filter(([name]) => KEPT.test(name))),
		PATH: process.env.PATH,
		LC_ALL: "C",
		HOME: "/dev/null",
		GIT_CONFIG_NOSYSTEM: "1",
		GIT_CONFIG_GLOBAL: "/dev/null",
		GIT_TERMINAL_PROMPT: "0",
		GIT_ALLOW_PROTOCOL: PROTOCOLS,
		GIT_SSH_COMMAND: "ssh -o BatchMode=yes",
	};
}
