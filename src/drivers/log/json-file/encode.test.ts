import { expect, test } from "bun:test";
import { EntryEncoder } from "./encode.ts";

const TAIL = '","stream":"stdout","time":"T"}\n';
const entries = (...runs: (string | readonly number[])[]) => {
	const encoder = new EntryEncoder();
	const bytes = runs.map((run) => (typeof run === "string" ? Buffer.from(run) : Uint8Array.from(run)));
	return Buffer.from(encoder.encode(bytes, Buffer.from(TAIL))).toString();
};
const entry = (text: string) => `{"log":"${text}${TAIL}`;

test("each line of a run is an entry, and a piece without newline is one", () => {
	expect(entries("one\n\nthree\n", "piece")).toBe(["one\\n", "\\n", "three\\n", "piece"].map(entry).join(""));
});

test("what Go escapes is escaped as Go does", () => {
	const ascii = Array.from({ length: 0x80 }, (_, byte) => byte);
	const text = entries(ascii);
	const lines = text.trimEnd().split("\n");
	const log = lines.map((line) => (JSON.parse(line) as { log: string }).log).join("");
	expect(log).toBe(String.fromCharCode(...ascii));
	expect(text).toContain("\\u0008\\u0009\\n");
	expect(text).toContain("\\u000b\\u000c\\r\\u000e");
	expect(text).toContain(" !\\\"#$%\\u0026'");
	expect(text).toContain(";\\u003c=\\u003e?");
	expect(text).toContain("[\\\\]");
	expect(text).toContain("~\x7f");
	expect(entries("a\u2028b\u2029c\u2027d€\n")).toBe(entry("a\\u2028b\\u2029c\u2027d€\\n"));
});

test("each byte that is no character becomes one replacement", () => {
	const R = "\\ufffd";
	expect(entries([0xff, 0x61, 0x80])).toBe(entry(`${R}a${R}`));
	// overlong, surrogate, beyond U+10FFFF, cut off at the end
	expect(entries([0xc0, 0xaf])).toBe(entry(R.repeat(2)));
	expect(entries([0xe0, 0x9f, 0xbf])).toBe(entry(R.repeat(3)));
	expect(entries([0xed, 0xa0, 0x80])).toBe(entry(R.repeat(3)));
	expect(entries([0xf4, 0x90, 0x80, 0x80])).toBe(entry(R.repeat(4)));
	expect(entries([0xe2, 0x82])).toBe(entry(R.repeat(2)));
	// valid ones beside them stay
	expect(entries([0xff, ...Buffer.from("é€😀\u2028"), 0xff])).toBe(entry(`${R}é€😀\\u2028${R}`));
});

test("a run of any size, all of it escaped, fits, and the next one is not disturbed", () => {
	const encoder = new EntryEncoder();
	const run = Buffer.from(`${"\u0001".repeat(16_383)}\n`.repeat(20));
	const first = Buffer.from(encoder.encode([run], Buffer.from(TAIL))).toString();
	expect(first).toBe(entry(`${"\\u0001".repeat(16_383)}\\n`).repeat(20));
	expect(Buffer.from(encoder.encode([Buffer.from("x\n")], Buffer.from(TAIL))).toString()).toBe(entry("x\\n"));
});

test("random text comes back whole from a JSON reader", () => {
	let seed = 42;
	const next = () => {
		seed = (seed * 1_103_515_245 + 12_345) & 0x7fff_ffff;
		return seed;
	};
	const alphabet = ["a", "b", "\n", "\t", '"', "\\", "<", "é", "€", "😀", "\u2028", "\r", "\u0000"];
	const text = Array.from({ length: 20_000 }, () => alphabet[(next() >> 8) % alphabet.length]).join("");
	const lines = entries(`${text}\n`).trimEnd().split("\n");
	expect(lines.map((line) => (JSON.parse(line) as { log: string }).log).join("")).toBe(`${text}\n`);
});
