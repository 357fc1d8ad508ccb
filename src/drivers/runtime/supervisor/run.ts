import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { messageOf } from "../../../shared/errors.ts";
import type { Logger } from "../../../shared/log.ts";
import type { LogTarget } from "../../../shared/log-target.ts";
import { favorCgroupMoves } from "../../../sys/linux/cgroup-moves.ts";
import { tryLockFile } from "../../../sys/linux/file-lock.ts";
import { becomeSubreaper, processStartTime } from "../../../sys/linux/process.ts";
import { trimWhenQuiet } from "../../../sys/linux/resident.ts";
import type { ProcessExit } from "../driver.ts";
import { type RuntimePaths, runtimePaths } from "../protocol.ts";
import type { OutputLog } from "./output.ts";
import { Reaper } from "./reaper.ts";
import { type SupervisorServer, serveSupervisor } from "./server.ts";
import { Supervisor } from "./supervisor.ts";

export interface SupervisorSettings {
	readonly runRoot: string;
	readonly log: Logger;
	/** See SupervisorOptions. */
	readonly ownCgroup: string;
	openLog(target: LogTarget): Promise<OutputLog>;
	/** What else must outlive the daemon: begun by the one supervisor of the run root, ended with it. */
	readonly beside?: () => { close(): void };
}

/** With no daemon and nothing running for so long, the supervisor ends; its records stay. */
const IDLE_MS = 15_000;
/** How often it is looked whether the run root is there. */
const LOOK_MS = 2_000;
/** What processes have between the machine's SIGTERM and our SIGKILL. */
const LAST_WORDS_MS = 10_000;

/** Runs the supervisor of one run root until it is idle or told to stop. Returns at once when another one has the run root. */
export async function superviseUntilIdle(settings: SupervisorSettings): Promise<void> {
	const { runRoot, log, ownCgroup, openLog, beside } = settings;
	const paths = runtimePaths(runRoot);
	const lock = tryLockFile(paths.lock);
	if (!lock) return;
	becomeSubreaper();
	quickenCgroupMoves(log);
	const reaper = new Reaper();
	reaper.listen();
	tellPid(paths);
	let server: SupervisorServer | undefined;
	// An exit that comes before anyone can listen is read from list().
	const onExit = (exit: ProcessExit) => server?.announce(exit);
	const supervisor = new Supervisor({ paths, reaper, log, ownCgroup, openLog, onExit });
	await supervisor.adopt();
	const trimming = trimWhenQuiet(log);
	const other = beside?.();
	await new Promise<void>((stop) => {
		server = serveSupervisor(paths.socket, () => supervisor, stop);
		stopWhenIdle(server, supervisor, stop);
		stayReachable(paths, server, supervisor, log);
		process.on("SIGTERM", () => void endWithMachine(supervisor, log).then((ended) => ended && stop()));
	});
	trimming[Symbol.dispose]();
	server?.close();
	other?.close();
	rmSync(paths.socket, { force: true });
	rmSync(paths.pid, { force: true });
	lock.release();
}

function tellPid(paths: RuntimePaths): void {
	writeFileSync(paths.pid, `${process.pid} ${processStartTime(process.pid) ?? ""}\n`);
}

/**
 * Someone may remove the run root under us. The socket is where the next daemon looks for us, the records are what the next supervisor knows of; what
 * cannot be made again is the OCI runtime's state: nothing more can be executed in what runs.
 */
function stayReachable(paths: RuntimePaths, server: SupervisorServer, supervisor: Supervisor, log: Logger): void {
	const look = () => {
		if (existsSync(paths.socket)) return;
		mkdirSync(paths.root, { recursive: true, mode: 0o700 });
		// Held to our end. Where another supervisor has begun in our place, it is that one's run root.
		if (!tryLockFile(paths.lock)) return;
		supervisor.restore();
		tellPid(paths);
		server.listenAgain();
		log.error("the run root was removed: restored", { path: paths.root });
	};
	setInterval(() => {
		try {
			look();
		} catch (error) {
			log.error("the run root was removed: cannot restore it", { path: paths.root, error: messageOf(error) });
		}
	}, LOOK_MS).unref();
}

function stopWhenIdle(server: SupervisorServer, supervisor: Supervisor, stop: () => void): void {
	let quietSince = performance.now();
	const timer = setInterval(() => {
		if (server.daemons > 0 || supervisor.busy) quietSince = performance.now();
		else if (performance.now() - quietSince > IDLE_MS) {
			clearInterval(timer);
			stop();
		}
	}, IDLE_MS / 3);
}

/**
 * A stop of the service manager's is not for us, but when nothing else is left of the machine (no daemon was there to stop containers) everything
 * has had its SIGTERM with us, and systemd-shutdown would wait 90 seconds for processes that do not heed it.
 */
async function endWithMachine(supervisor: Supervisor, log: Logger): Promise<boolean> {
	// The kernel cuts names after 15 bytes.
	if (readFileSync("/proc/1/comm", "utf8").trim() !== "systemd-shutdow") return false;
	log.info("the machine goes down");
	for (let waited = 0; waited < LAST_WORDS_MS && supervisor.busy; waited += LAST_WORDS_MS / 20)
		await Bun.sleep(LAST_WORDS_MS / 20);
	await supervisor.killAll();
	return true;
}

/** An older kernel cannot: starts are slower there, nothing else. */
function quickenCgroupMoves(log: Logger): void {
	try {
		favorCgroupMoves();
	} catch (error) {
		log.debug("cgroup moves stay slow", { error: messageOf(error) });
	}
}
