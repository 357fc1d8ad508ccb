/** The attributes of every entry of a log, sorted as Go does: `,"attrs":{"name":"value"}`; "" without any. */
export function encodeAttributes(attributes: Readonly<Record<string, string>> = {}): string {
	const names = Object.keys(attributes).sort();
	if (names.length === 0) return "";
	return `,"attrs":{${names.map((name) => `${goString(name)}:${goString(attributes[name] ?? "")}`).join(",")}}`;
}

function goString(text: string): string {
	return JSON.stringify(text)
		.replace(/[<>&\u2028\u2029]/g, (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, "0")}`)
		.replace(/\\[bft\\]/g, (short) => SHORT_ESCAPES[short] ?? short);
}

const SHORT_ESCAPES: Record<string, string> = { "\\b": "\\u0008", "\\f": "\\u000c", "\\t": "\\u0009" };
