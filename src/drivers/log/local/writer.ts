import type { LogWriter } from "../driver.ts";
import { RotatingFile, type RotatingFileOptions } from "../files/rotating-file.ts";
import { LineBuffer } from "../files/split.ts";
import { encodeEntries } from "./encode.ts";
import { wholeLength } from "./format.ts";

/** Appends to docker's `local` log. Throws when it cannot be opened. */
export function openLocalLog(options: Omit<RotatingFileOptions, "wholeLength">): LogWriter {
	const file = new RotatingFile({ ...options, wholeLength });
	const lines = new LineBuffer();
	return {
		write(stream, chunk) {
			const entries = lines.push(stream, chunk);
			return entries.length > 0 ? file.append(encodeEntries(entries, stream)) : file.behind;
		},
		async close() {
			await file.behind;
			for (const [stream, rest] of lines.finish()) await file.append(encodeEntries([rest], stream));
			await file.close();
		},
	};
}
