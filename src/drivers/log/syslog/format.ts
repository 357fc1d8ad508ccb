import { hostname } from "node:os";
import type { SyslogTarget } from "../../../shared/log-target.ts";
import type { LogStream } from "../driver.ts";

/** RFC 5424 severities: informational, error. */
const SEVERITY: Record<LogStream, number> = { stdout: 6, stderr: 3 };
const MONTHS = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split(" ");

export interface SyslogEntry {
	readonly stream: LogStream;
	readonly line: string;
	readonly time: Date;
}

/** One message in docker's forms, newline at its end. "" is that of the host's own logger: RFC 3164 without the host's name. */
export function syslogMessage(
	{ stream, line, time }: SyslogEntry,
	{ facility, format, tag, transport }: SyslogTarget,
	sender = { host: hostname(), pid: process.pid },
): string {
	const priority = facility * 8 + SEVERITY[stream];
	const { host, pid } = sender;
	const message = {
		"": () => `<${priority}>${stamp(time)} ${tag}[${pid}]: ${line}\n`,
		rfc3164: () => `<${priority}>${stamp(time)} ${host} ${tag}[${pid}]: ${line}\n`,
		rfc5424: () => `<${priority}>1 ${isoSeconds(time)} ${host} ${tag} ${pid} ${tag} - ${line}\n`,
		rfc5424micro: () => `<${priority}>1 ${isoMicro(time)} ${host} ${tag} ${pid} ${tag} - ${line}\n`,
	}[format]();
	// RFC 5425, section 4.3: the length comes first.
	const counted = transport === "tcp+tls" && format.startsWith("rfc5424");
	return counted ? `${Buffer.byteLength(message)} ${message}` : message;
}

/** `Nov  1 09:08:07` in local time. */
function stamp(time: Date): string {
	const day = String(time.getDate()).padStart(2, " ");
	return `${MONTHS[time.getMonth()]} ${day} ${time.toTimeString().slice(0, 8)}`;
}

function isoSeconds(time: Date): string {
	return time.toISOString().replace(/\.\d+/, "");
}

function isoMicro(time: Date): string {
	return time.toISOString().replace(/\.(\d{3})Z/, ".$1000Z");
}
