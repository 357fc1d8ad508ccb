import { closeSync, openSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { EngineError } from "../../../shared/errors.ts";
import { sealedCopy } from "../../../sys/linux/memfd.ts";
import { killProcess, spawnProcess } from "../../../sys/linux/process.ts";
import type { RuntimeCommand } from "../driver.ts";
import { type RuntimeTraits, traitsOf } from "../traits.ts";
import type { Reaper } from "./reaper.ts";

/** fds that become a container process's stdin, stdout and stderr; undefined: /dev/null. */
export type Stdio = readonly [number | undefined, number | undefined, number | undefined];

/** A runtime that was started before its exec came. */
export interface WaitingExec {
	readonly pid: number;
	running: boolean;
	/** Its exit code. */
	readonly ended: Promise<number>;
	/** Resolves when it has started the process. Throws EngineError with the runtime's text. */
	succeeded(): Promise<void>;
}

const SIGKILL = 9;
const STRAY_TRIES = 500;
const STRAY_WAIT_MS = 2;
/** ms */
const PROGRAM_TRIES = 200;

/** An OCI runtime's command line: crun's and runc's, which others have taken over. */
export class OciRuntime {
	readonly traits: RuntimeTraits;
	private readonly copy: number | undefined;
	private readonly file: string;
	private readonly devNull: number;

	/** @param stateRoot what the runtime keeps of its containers. Throws when the runtime cannot be read. */
	constructor(
		private readonly command: RuntimeCommand,
		private readonly stateRoot: string,
		private readonly reaper: Reaper,
	) {
		this.traits = traitsOf(command.family);
		this.copy = this.traits.runsFromMemory ? sealedCopy(command.path) : undefined;
		this.file = this.copy === undefined ? command.path : `/proc/${process.pid}/fd/${this.copy}`;
		this.devNull = openSync("/dev/null", "r+");
	}

	/** `runc run --detach`; the container's pid. Throws EngineError with the runtime's text. */
	async run(id: string, bundle: string, directory: string, stdio: Stdio, console?: string): Promise<number> {
		const options = ["--detach", "--bundle", bundle];
		await this.call(["run", ...options, ...this.ids(directory, console), id], directory, stdio, "create");
		const pid = readPid(directory);
		await untilProgram(pid, this.traits.beforeProgram);
		return pid;
	}

	/**
	 * `runc exec --detach`; the pid of the new process. Throws EngineError with the runtime's text.
	 * @param oomScoreAdj crun sets it for a container's first process alone: an exec has what it inherits
	 */
	async exec(id: string, directory: string, stdio: Stdio, console?: string, oomScoreAdj = 0): Promise<number> {
		await this.call(this.execArguments(id, directory, console), directory, stdio, "exec", oomScoreAdj);
		return readPid(directory);
	}

	/** The same, when `process.json` is a FIFO: the runtime goes as far as it can without, and waits there. */
	execWaiting(id: string, directory: string, stdio: Stdio, oomScoreAdj: number): WaitingExec {
		const pid = this.spawn(this.execArguments(id, directory), directory, stdio, oomScoreAdj);
		const waiting: WaitingExec = {
			pid,
			running: true,
			ended: this.reaper.wait(pid).then((exitCode) => {
				waiting.running = false;
				return exitCode;
			}),
			succeeded: async () => succeeded("exec", await waiting.ended, directory),
		};
		return waiting;
	}

	/** `runc update`: sets these limits of a running container. @param resources as in the spec */
	async update(id: string, directory: string, resources: unknown): Promise<void> {
		const file = `${directory}/resources.json`;
		writeFileSync(file, JSON.stringify(resources), { mode: 0o600 });
		// What earlier calls complained of is not about this one.
		rmSync(`${directory}/runtime.log`, { force: true });
		await this.call(["update", "--resources", file, id], directory, [undefined, undefined, undefined], "update");
	}

	/** `runc delete --force`: for runtimes that keep more than a directory. */
	async delete(id: string, directory: string): Promise<void> {
		await this.call(["delete", "--force", id], directory, [undefined, undefined, undefined], "delete");
	}

	private execArguments(id: string, directory: string, console?: string): string[] {
		return ["exec", "--detach", "--process", `${directory}/process.json`, ...this.ids(directory, console), id];
	}

	private ids(directory: string, console: string | undefined): string[] {
		const pidFile = ["--pid-file", `${directory}/pid`];
		return console === undefined ? pidFile : [...pidFile, "--console-socket", console];
	}

	private async call(
		args: readonly string[],
		directory: string,
		stdio: Stdio,
		what: string,
		oomScoreAdj?: number,
	): Promise<void> {
		succeeded(what, await this.reaper.wait(this.spawn(args, directory, stdio, oomScoreAdj)), directory);
	}

	private spawn(args: readonly string[], directory: string, stdio: Stdio, oomScoreAdj: number | undefined): number {
		const log = `${directory}/runtime.log`;
		const { path, args: options } = this.command;
		return spawnProcess({
			file: this.file,
			argv: [path, ...options, "--root", this.stateRoot, "--log", log, "--log-format", this.traits.logFormat, ...args],
			env: ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"],
			stdio: [stdio[0] ?? this.devNull, stdio[1] ?? this.devNull, stdio[2] ?? this.devNull],
			session: true,
			...(oomScoreAdj !== undefined && { oomScoreAdj }),
		});
	}

	/** Nothing is started with it any more; what it has started runs on. */
	close(): void {
		closeSync(this.devNull);
		if (this.copy !== undefined) closeSync(this.copy);
	}
}

/**
 * Kills runtime processes of an earlier supervisor, which go on starting what nobody will own. They are known by the pid file that we
 * name to each. Resolves when they are gone, so that they make nothing any more.
 * @param directories where process directories are
 */
export async function endStrays(...directories: readonly string[]): Promise<void> {
	const marks = directories.map((directory) => `\0--pid-file\0${directory}/`);
	const isStray = (line: string) => marks.some((mark) => line.includes(mark));
	for (let tries = 0; tries < STRAY_TRIES; tries++) {
		const strays = processIds().filter((pid) => pid !== process.pid && isStray(commandLine(pid)));
		if (strays.length === 0) return;
		for (const pid of strays) killProcess(pid, SIGKILL);
		await Bun.sleep(STRAY_WAIT_MS);
	}
}

/** Throws EngineError with what the runtime wrote in `directory`. */
function succeeded(what: string, exitCode: number, directory: string): void {
	if (exitCode !== 0) throw runtimeError(what, readLog(`${directory}/runtime.log`) || `exit code ${exitCode}`);
}

/** The pid that the runtime wrote. */
export function readPid(directory: string): number {
	return Number(readFileSync(`${directory}/pid`, "utf8"));
}

/** The pid that the runtime wrote of what it started, if it came so far. */
export function recordedPid(directory: string): number | undefined {
	try {
		return readPid(directory) || undefined;
	} catch {
		return undefined;
	}
}

/** Resolves when the process is not called so any more; one that goes on being so is not waited for. */
async function untilProgram(pid: number, name: string | undefined): Promise<void> {
	for (let tries = 0; name !== undefined && tries < PROGRAM_TRIES; tries++) {
		if (readText(`/proc/${pid}/comm`) !== `${name}\n`) return;
		await Bun.sleep(1);
	}
}

function processIds(): number[] {
	return readdirSync("/proc").flatMap((name) => (/^\d+$/.test(name) ? [Number(name)] : []));
}

/** Arguments with NUL between; empty when the process is gone or a zombie. */
function commandLine(pid: number): string {
	return readText(`/proc/${pid}/cmdline`);
}

/** "" when it cannot be read. */
function readText(path: string): string {
	try {
		return readFileSync(path, "utf8");
	} catch {
		return "";
	}
}

function readLog(path: string): string {
	return firstError(readText(path));
}

/** The first error in the runtime's log, of either format; later ones say that cleaning up failed too. */
export function firstError(log: string): string {
	const messages = log.split("\n").flatMap((line) => {
		if (!line.startsWith("{")) return line === "" ? [] : [line];
		try {
			const entry = JSON.parse(line) as { level?: string; msg?: string };
			return entry.level === "error" && entry.msg ? [entry.msg] : [];
		} catch {
			return [];
		}
	});
	return messages[0] ?? "";
}

/** The phrases in which the docker CLI recognises exit codes 126 and 127 are Go's, in lower case; the runtime writes strerror(3)'s. */
const PHRASES = [
	"No such file or directory",
	"Permission denied",
	"Is a directory",
	"Not a directory",
	"Exec format error",
];
const COMMAND_FAULT =
	/no such file or directory|permission denied|is a directory|not a directory|exec format error|not found in \$PATH/;

/** What is said of the command or its directory; a mount, too, may have a part that is not there. */
const COMMAND = /^(exec|open executable|chdir)\b|process: (exec|chdir|stat)\b|\bcwd\b/;

/** "invalid" when the command is at fault, "internal" else; the text is the runtime's. */
export function runtimeError(what: string, text: string): EngineError {
	const worded = PHRASES.reduce((message, phrase) => message.replaceAll(phrase, phrase.toLowerCase()), text);
	const opened = worded.replace(/^open executable: operation not permitted/i, "exec: permission denied");
	const named = opened.replace(/^executable file [`'"]?(.*?)[`'"]? not found/, 'exec: "$1": executable file not found');
	const message = `OCI runtime ${what} failed: ${named}`;
	return new EngineError(COMMAND_FAULT.test(named) && COMMAND.test(named) ? "invalid" : "internal", message);
}
