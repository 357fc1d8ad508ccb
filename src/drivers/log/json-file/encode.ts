import type { LogStream } from "../driver.ts";

/** What Go's encoder escapes beyond JSON.stringify, and the three short escapes it writes as \u. */
const GO_ESCAPES = /[<>&\b\f\t\u007f\u2028\u2029]/;

/**
 * Log entries for whole lines (`text` ends in a newline) that share a time. One JSON.stringify for all of them: in its result `\n` is the
 * end of a line, unless the text has a backslash of its own.
 */
export function encodeLines(text: string, stream: LogStream, time: string, attributes = ""): string {
	if (text.includes("\\") || GO_ESCAPES.test(text)) {
		return text
			.slice(0, -1)
			.split("\n")
			.map((line) => encodeEntry(`${line}\n`, stream, time, attributes))
			.join("");
	}
	const tail = `","stream":"${stream}"${attributes},"time":"${time}"}\n`;
	const body = JSON.stringify(text)
		.slice(0, -1)
		.replaceAll("\\n", () => `\\n${tail}{"log":"`);
	return `{"log":${body.slice(0, -'{"log":"'.length)}`;
}

/** One entry; `text` may lack its newline. */
export function encodeEntry(text: string, stream: LogStream, time: string, attributes = ""): string {
	return `{"log":${goString(text)},"stream":"${stream}"${attributes},"time":"${time}"}\n`;
}

/** The attributes of every entry of a log, sorted as Go does: `,"attrs":{"name":"value"}`; "" without any. */
export function encodeAttributes(attributes: Readonly<Record<string, string>> = {}): string {
	const names = Object.keys(attributes).sort();
	if (names.length === 0) return "";
	return `,"attrs":{${names.map((name) => `${goString(name)}:${goString(attributes[name] ?? "")}`).join(",")}}`;
}

function goString(text: string): string {
	const json = JSON.stringify(text);
	if (!GO_ESCAPES.test(text)) return json;
	return json
		.replace(/[<>&\u2028\u2029]/g, (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, "0")}`)
		.replace(/\\[bft\\]/g, (short) => SHORT_ESCAPES[short] ?? short);
}

const SHORT_ESCAPES: Record<string, string> = { "\\b": "\\u0008", "\\f": "\\u000c", "\\t": "\\u0009" };
