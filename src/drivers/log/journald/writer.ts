import { openDatagram } from "../../../sys/linux/datagram.ts";
import type { LogStream, LogWriter } from "../driver.ts";
import { eachLine } from "../files/lines.ts";
import { LineBuffer } from "../files/split.ts";

const SOCKET = "/run/systemd/journal/socket";
/** syslog's info and err, as docker has it. */
const PRIORITY: Record<LogStream, string> = { stdout: "6", stderr: "3" };

/**
 * Sends each line to systemd's journal in its native protocol: `NAME=value\n`, or name, newline, length (8 bytes, little endian) and the value, for
 * one that may hold anything. Source: systemd, docs/JOURNAL_NATIVE_PROTOCOL.md. Throws docker's text when no journal listens.
 */
export function openJournaldLog(fields: Readonly<Record<string, string>>, path = SOCKET): LogWriter {
	const socket = connect(path);
	const lines = new LineBuffer();
	const fixed = Buffer.concat(Object.entries(fields).map(([name, value]) => field(name, Buffer.from(value))));
	const entryOf = (stream: LogStream, line: Uint8Array, whole: boolean) =>
		Buffer.concat([
			fixed,
			Buffer.from(`PRIORITY=${PRIORITY[stream]}\nSYSLOG_TIMESTAMP=${new Date().toISOString()}\n`),
			...(whole ? [] : [Buffer.from("CONTAINER_PARTIAL_MESSAGE=true\n")]),
			field("MESSAGE", line),
		]);
	const send = async (stream: LogStream, entries: readonly Uint8Array[]) => {
		for (const { line, whole } of eachLine(entries)) {
			if (line.length > 0) await socket.send(entryOf(stream, line, whole));
		}
	};
	let behind: Promise<void> | undefined;
	return {
		write(stream, chunk) {
			const entries = lines.push(stream, chunk).map((entry) => entry.slice());
			if (entries.length === 0) return behind;
			behind = (behind ?? Promise.resolve()).then(() => send(stream, entries));
			return behind;
		},
		async close() {
			await behind;
			for (const [stream, rest] of lines.finish()) await send(stream, [rest]);
			socket.close();
		},
	};
}

function connect(path: string) {
	try {
		return openDatagram(path);
	} catch (cause) {
		throw new Error("journald is not enabled on this host", { cause });
	}
}

function field(name: string, value: Uint8Array): Buffer {
	const length = Buffer.alloc(8);
	length.writeBigUInt64LE(BigInt(value.length));
	return Buffer.concat([Buffer.from(`${name}\n`), length, value, Buffer.from("\n")]);
}
