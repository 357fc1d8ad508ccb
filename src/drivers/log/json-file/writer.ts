import { nowNano } from "../../../shared/time.ts";
import type { LogStream, LogWriter } from "../driver.ts";
import { RotatingFile, type RotatingFileOptions } from "../files/rotating-file.ts";
import { LineBuffer } from "../files/split.ts";
import { encodeAttributes, encodeEntry, encodeLines } from "./encode.ts";

export interface JsonFileLogOptions extends Omit<RotatingFileOptions, "wholeLength"> {
	/** Written with each line. */
	readonly attributes?: Readonly<Record<string, string>>;
}

const decoder = new TextDecoder("utf-8", { ignoreBOM: true });

/** Appends to docker's json-file log: `{"log":"text\n","stream":"stdout","time":"..."}` per line. Throws when it cannot be opened. */
export function openJsonFileLog(options: JsonFileLogOptions): LogWriter {
	const file = new RotatingFile(options);
	const lines = new LineBuffer();
	const attributes = encodeAttributes(options.attributes);
	const encode = (entries: readonly Uint8Array[], stream: LogStream): Buffer => {
		const time = nowNano();
		const texts = entries.map((entry) => {
			const text = decoder.decode(entry);
			return (text.endsWith("\n") ? encodeLines : encodeEntry)(text, stream, time, attributes);
		});
		return Buffer.from(texts.join(""));
	};
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
