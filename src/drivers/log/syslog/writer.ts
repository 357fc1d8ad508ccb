import type { SyslogTarget } from "../../../shared/log-target.ts";
import type { LogStream, LogWriter } from "../driver.ts";
import { eachLine } from "../files/lines.ts";
import { LineBuffer } from "../files/split.ts";
import { connectSyslog } from "./connect.ts";
import { syslogMessage } from "./format.ts";

/** Between two attempts to reach a syslog daemon that has gone; lines are lost meanwhile, as docker has it. */
const RETRY_MS = 1000;

/** Sends each line to a syslog daemon. Throws docker's text when it cannot be reached. */
export async function openSyslogLog(target: SyslogTarget): Promise<LogWriter> {
	let connection = await connectSyslog(target);
	let nextTry = 0;
	const lines = new LineBuffer();
	const reconnect = async () => {
		if (Date.now() < nextTry) return;
		nextTry = Date.now() + RETRY_MS;
		try {
			const renewed = await connectSyslog(target);
			await connection.close();
			connection = renewed;
		} catch {
			// later
		}
	};
	const send = async (stream: LogStream, entries: readonly Uint8Array[]) => {
		const time = new Date();
		for (const { line } of eachLine(entries)) {
			if (!connection.alive) await reconnect();
			const behind = connection.send(syslogMessage({ stream, line: Buffer.from(line).toString(), time }, target));
			if (behind) await behind;
		}
	};
	let behind: Promise<void> | undefined;
	return {
		write(stream, chunk) {
			// Copies: they are sent later, and the chunk is the reader's.
			const entries = lines.push(stream, chunk).map((entry) => entry.slice());
			if (entries.length > 0) behind = (behind ?? Promise.resolve()).then(() => send(stream, entries));
			return behind;
		},
		async close() {
			await behind;
			for (const [stream, rest] of lines.finish()) await send(stream, [rest]);
			await connection.close();
		},
	};
}
