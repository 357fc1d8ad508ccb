import { EngineError, messageOf } from "../../../shared/errors.ts";
import type { Logger } from "../../../shared/log.ts";
import type { LogTarget } from "../../../shared/log-target.ts";
import type { ProcessIo } from "../driver.ts";
import type { OutputLog } from "./output.ts";
import type { ProcessRecord } from "./records.ts";

interface Logs {
	readonly log: Logger;
	openLog(target: LogTarget): Promise<OutputLog>;
}

/** Of a process that is to be started. Throws docker's text when the log cannot be written to. */
export async function openLog(logs: Logs, io: ProcessIo): Promise<OutputLog | undefined> {
	try {
		return io.log && (await logs.openLog(io.log));
	} catch (cause) {
		const why = `failed to initialize logging driver: ${messageOf(cause)}`;
		throw new EngineError("internal", `failed to create task for container: ${why}`, { cause });
	}
}

/** Of one that runs: it runs on without its log where there is none any more. */
export async function reopenLog(logs: Logs, { processId, io }: ProcessRecord): Promise<OutputLog | undefined> {
	try {
		return await openLog(logs, io);
	} catch (error) {
		logs.log.error("a running process's output is no longer logged", { id: processId, error: messageOf(error) });
		return undefined;
	}
}
