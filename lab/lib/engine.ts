import { closeSync, mkdirSync, openSync, readFileSync } from "node:fs";
import { eventually } from "./assert.ts";
import { isAlive } from "./leaks.ts";

export interface EngineSettings {
	/** The built executable. */
	readonly binary: string;
	readonly instance: string;
	/** Everything of the engine goes below it: data/, run/, socket, log. */
	readonly directory: string;
	/** 127.0.0.x:port */
	readonly dns: string;
	/** Beyond those that place it. */
	readonly flags?: readonly string[];
	/** What starts the daemon: a command that executes what follows it, keeping the pid. */
	readonly launch?: readonly string[];
}

/** A daemon under test. It may be stopped or killed and started again on the same state. */
export interface Engine {
	readonly binary: string;
	readonly host: string;
	readonly instance: string;
	readonly domain: string;
	readonly dns: { readonly address: string; readonly port: number };
	readonly dataRoot: string;
	readonly runRoot: string;
	readonly logFile: string;
	/** Resolves when the daemon has logged `ready`. */
	start(): Promise<void>;
	/** SIGTERM, and waits for the end. Containers run on. */
	stop(): Promise<void>;
	/** SIGKILL, as a crash would. */
	kill(): Promise<void>;
	readonly pid: number | undefined;
}

const READY_WITHIN_MS = 20_000;
const STOP_WITHIN_MS = 20_000;

export function createEngine(settings: EngineSettings): Engine {
	const { directory, instance } = settings;
	const [address = "", port = ""] = settings.dns.split(":");
	const host = `unix://${directory}/engine.sock`;
	const dataRoot = `${directory}/data`;
	const runRoot = `${directory}/run`;
	const logFile = `${directory}/daemon.log`;
	const flags = [
		"--instance",
		instance,
		"--data-root",
		dataRoot,
		"--run-root",
		runRoot,
		"--host",
		host,
		"--dns",
		settings.dns,
		...(settings.flags ?? []),
	];
	let child: Bun.Subprocess | undefined;

	const end = async (signal: NodeJS.Signals) => {
		if (child === undefined) return;
		const ending = child;
		child = undefined;
		ending.kill(signal);
		const timer = setTimeout(() => ending.kill("SIGKILL"), STOP_WITHIN_MS);
		await ending.exited;
		clearTimeout(timer);
		if (signal === "SIGTERM" && ending.signalCode === "SIGKILL")
			throw new Error(`daemon did not stop within ${STOP_WITHIN_MS} ms`);
	};

	return {
		binary: settings.binary,
		host,
		instance,
		domain: "fd.local",
		dns: { address, port: Number(port) },
		dataRoot,
		runRoot,
		logFile,
		get pid() {
			return child?.pid;
		},
		async start() {
			mkdirSync(directory, { recursive: true });
			const log = openSync(logFile, "a");
			const started = Bun.spawn([...(settings.launch ?? []), settings.binary, "daemon", ...flags], {
				stdin: "ignore",
				stdout: log,
				stderr: log,
			});
			child = started;
			started.exited.then(() => {
				if (child === started) child = undefined;
			});
			closeSync(log);
			const ready = () => {
				if (!isAlive(started.pid)) return { ended: true };
				return logLines(logFile).some((line) => line.msg === "ready" && line.pid === started.pid) && { ended: false };
			};
			const { ended } = await eventually("daemon ready", ready, { withinMs: READY_WITHIN_MS, everyMs: 10 });
			if (ended) throw new Error(`daemon ended at its start; log:\n${tail(logFile)}`);
		},
		stop: () => end("SIGTERM"),
		kill: () => end("SIGKILL"),
	};
}

/** The daemon's log as objects; lines that are no JSON (a crash's text) become `{ text }`. */
export function logLines(path: string): Record<string, unknown>[] {
	const lines = readFileSync(path, "utf8").split("\n").filter(Boolean);
	return lines.map((line) => {
		try {
			return JSON.parse(line);
		} catch {
			return { text: line };
		}
	});
}

export function tail(path: string, lines = 20): string {
	return readFileSync(path, "utf8").split("\n").slice(-lines).join("\n");
}
