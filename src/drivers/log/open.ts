import type { LogTarget } from "../../shared/log-target.ts";
import type { LogWriter } from "./driver.ts";
import { openJournaldLog } from "./journald/writer.ts";
import { openJsonFileLog } from "./json-file/writer.ts";
import { openLocalLog } from "./local/writer.ts";
import { both, nonBlocking } from "./non-blocking.ts";
import { openSyslogLog } from "./syslog/writer.ts";

/** Opens the log that a container's options ask for. Throws docker's text when the host does not have it or it cannot be reached. */
export async function openLog(target: LogTarget): Promise<LogWriter> {
	const log = await openDriver(target);
	const { cache, bufferBytes } = target;
	const readable = cache ? both(log, openLocalLog(cache)) : log;
	return bufferBytes === undefined ? readable : nonBlocking(readable, bufferBytes);
}

async function openDriver(target: LogTarget): Promise<LogWriter> {
	switch (target.driver) {
		case "local":
			return openLocalLog(target);
		case "syslog":
			if (!target.syslog) throw new Error("syslog without its settings");
			return openSyslogLog(target.syslog);
		case "journald":
			return openJournaldLog(target.fields ?? {});
		default:
			return openJsonFileLog(target);
	}
}
