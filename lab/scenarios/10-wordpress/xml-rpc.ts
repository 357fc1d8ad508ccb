import { CheckFailed } from "../../lib/assert.ts";

/** What WordPress's XML-RPC takes: text, whole numbers, bytes, and structures of these. */
export type Value = string | number | Uint8Array | { readonly [name: string]: Value };

/** The body of a call. */
export function encodeCall(method: string, values: readonly Value[]): string {
	const list = values.map((value) => `<param>${encode(value)}</param>`).join("");
	return `<?xml version="1.0"?><methodCall><methodName>${method}</methodName><params>${list}</params></methodCall>`;
}

/** The reply's text between its tags; a fault fails. */
export function decodeReply(xml: string): string {
	const text = xml.replaceAll(/<[^>]*>/g, " ").trim();
	if (!xml.includes("<methodResponse>") || xml.includes("<fault>")) throw new CheckFailed(`XML-RPC: ${text}`);
	return text;
}

function encode(value: Value): string {
	if (typeof value === "number") return `<value><int>${value}</int></value>`;
	if (typeof value === "string") return `<value><string>${escapeXml(value)}</string></value>`;
	if (value instanceof Uint8Array) return `<value><base64>${Buffer.from(value).toString("base64")}</base64></value>`;
	const members = Object.entries(value).map(([name, one]) => `<member><name>${name}</name>${encode(one)}</member>`);
	return `<value><struct>${members.join("")}</struct></value>`;
}

function escapeXml(text: string): string {
	return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;");
}
