import { nowNano } from "../../../shared/time.ts";
import type { LogStream, LogWriter } from "../driver.ts";
import { RotatingFile, type RotatingFileOptions } from "../files/rotating-file.ts";
import { LineBuffer } from "../files/split.ts";
import { encodeAttributes } from "./attributes.ts";
import { EntryEncoder } from "./encode.ts";

export interface JsonFileLogOptions extends Omit<RotatingFileOptions, "wholeLength"> {
	/** Written with each line. */
	readonly attributes?: Readonly<Record<string, string>>;
}

/** One for all logs: what it gives is written, or copied, before it is used again. */
const encoder = new EntryEncoder();

/** Appends to docker's json-file log: `{"log":"text\n","stream":"stdout","time":"..."}` per line. Throws when it cannot be opened. */
export function openJsonFileLog(options: JsonFileLogOptions): LogWriter {
	const file = new RotatingFile(options);
	const lines = new LineBuffer();
	const attributes = encodeAttributes(options.attributes);
	const encode = (entries: readonly Uint8Array[], stream: LogStream): Uint8Array =>
		encoder.encode(entries, Buffer.from(`","stream":"${stream}"${attributes},"time":"${nowNano()}"}\n`));
	return {
		write(stream, chunk) {
			const entries = lines.push(stream, chunk);
			return entries.length > 0 ? file.append(encode(entries, stream)) : file.behind;
		},
		async close() {
			await file.behind;
			for (const [stream, rest] of lines.finish()) await file.append(encode([rest], stream));
			await file.close();
		},
	};
}
