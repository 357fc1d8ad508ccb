import { parseArgs } from "node:util";
import { type OnLost, openLog } from "../drivers/log/open.ts";
import { relaySocket } from "../drivers/network/relay/protocol.ts";
import { serveRelay } from "../drivers/network/relay/server.ts";
import { superviseUntilIdle } from "../drivers/runtime/supervisor/run.ts";
import { messageOf } from "../shared/errors.ts";
import { createLogger } from "../shared/log.ts";
import { UsageError } from "../shared/usage-error.ts";
import { enterMountNamespace } from "../sys/linux/mount-namespace.ts";

/**
 * The second mode of the binary: `foredeck supervisor --run-root DIR --instance NAME`. The daemon starts it; it outlives the daemon
 * and owns the containers' processes. It imports no more than it needs: its memory counts once for every machine.
 */
export async function runSupervisor(argv: string[]): Promise<void> {
	const { values } = parseArgs({
		args: argv,
		options: { "run-root": { type: "string" }, instance: { type: "string" } },
	});
	const { "run-root": runRoot, instance } = values;
	if (!runRoot) throw new UsageError("supervisor needs --run-root DIR");
	enterMountNamespace(undefined);
	process.title = `foredeck-supervisor ${instance ?? ""}`;
	// A terminal's Ctrl-C or the service manager's stop is for the daemon.
	for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, () => {});
	const log = createLogger("info", { component: "supervisor", instance });
	const beside = () => serveRelay(relaySocket(runRoot), log);
	const onLost: OnLost = (path, error) => log.error("output is lost", { log: path, error: messageOf(error) });
	const ownCgroup = `/foredeck-${instance ?? ""}`;
	await superviseUntilIdle({
		runRoot,
		log,
		ownCgroup,
		openLog: (target) => openLog(target, onLost),
		beside,
	});
	process.exit(0);
}

if (import.meta.main) await runSupervisor(process.argv.slice(2));
