import type { LogTarget } from "../../shared/log-target.ts";
import type { LogWriter } from "./driver.ts";
import { openJournaldLog } from "./journald/writer.ts";
import { openJsonFileLog } from "./json-file/writer.ts";
import { openLocalLog } from "./local/writer.ts";
import { both, nonBlocking } from "./non-blocking.ts";
import { openSyslogLog } from "./syslog/writer.ts";

/** A log file could not be written; told once a minute at most. */
export type OnLost = (path: string, error: unknown) => void;

/** Opens the log that a container's options ask for. Throws docker's text when the host does not have it or it cannot be reached. */
export async function openLog(target: LogTarget, onLost: OnLost = () => {}): Promise<LogWriter> {
	const log = await openDriver(target, onLost);
	const { cache, bufferBytes } = target;
	const readable = cache ? both(log, openLocalLog(telling(cache, onLost))) : log;
	return bufferBytes === undefined ? readable : nonBlocking(readable, bufferBytes);
}

function telling<Target extends { readonly path: string }>(target: Target, onLost: OnLost) {
	return { ...target, onLost: (error: unknown) => onLost(target.path, error) };
}

async function openDriver(target: LogTarget, onLost: OnLost): Promise<LogWriter> {
	switch (target.driver) {
		case "local":
			return openLocalLog(telling(target, onLost));
		case "syslog":
			if (!target.syslog) throw new Error("syslog without its settings");
			return openSyslogLog(target.syslog);
		case "journald":
			return openJournaldLog(target.fields ?? {});
		default:
			return openJsonFileLog(telling(target, onLost));
	}
}
