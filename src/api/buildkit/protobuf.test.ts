import { expect, test } from "bun:test";
import { boolean, bytes, field, integer, long, map, message, nested, optional, repeated, string } from "./protobuf.ts";

const inner = message({ name: field(1, string), size: field(2, integer) });
const outer = message({
	text: field(1, string),
	data: field(2, bytes),
	yes: field(3, boolean),
	number: field(4, integer),
	exact: field(5, long),
	one: optional(6, inner),
	many: repeated(7, string),
	numbers: repeated(8, integer),
	attrs: map(9, string),
	inners: repeated(10, nested(inner)),
});

test("what is encoded is decoded again", () => {
	const value = {
		text: "ä",
		data: new Uint8Array([0, 255]),
		yes: true,
		number: -5,
		exact: 1763741934123456789n,
		one: { name: "", size: 300 },
		many: ["", "b"],
		numbers: [0, 1 << 20],
		attrs: new Map([["k", ""]]),
		inners: [{ name: "x", size: 0 }],
	};
	expect(outer.decode(outer.encode(value))).toEqual(value);
});

test("bytes are as the specification has them", () => {
	// protobuf.dev, Encoding: field 1 = "testing"; field 4 = 150
	expect(Buffer.from(outer.encode({ text: "testing", number: 150 })).toString("hex")).toBe("0a0774657374696e67209601");
	expect(outer.encode({ text: "", yes: false, number: 0, many: [] })).toHaveLength(0);
});

test("unknown fields are skipped, packed numbers read, the last value wins", () => {
	const unknown = [0xf8, 0x01, 0x05, 0xf9, 0x01, 1, 2, 3, 4, 5, 6, 7, 8, 0xfd, 0x01, 1, 2, 3, 4];
	const read = outer.decode(new Uint8Array([...unknown, 0x42, 3, 1, 0x96, 1, 0x20, 1, 0x20, 2]));
	expect([read.numbers, read.number]).toEqual([[1, 150], 2]);
	expect(outer.decode(new Uint8Array(0)).one).toBeUndefined();
});

test("malformed bytes are refused", () => {
	for (const bad of [[0x0a, 5, 1], [0x20, 0x80], [0x20, ...Array(11).fill(0xff)], [0x0f], [0x08, 1]]) {
		expect(() => outer.decode(new Uint8Array(bad))).toThrow(/malformed message/);
	}
});

test("a message of very many values is read in time with its length", () => {
	const many = message({ names: repeated(1, string), pairs: map(2, string) });
	const count = 100_000;
	const pairs = new Map(Array.from({ length: count }, (_, i) => [String(i), ""]));
	const read = many.decode(many.encode({ names: Array.from({ length: count }, () => "a"), pairs }));
	expect([read.names.length, read.pairs.size]).toEqual([count, count]);
});
