import type { Shape } from "../../src/api/coverage/shape.ts";
import type { Random } from "./random.ts";

const LONG = "x".repeat(9000);
/** As JSON text: a value that JSON.stringify cannot write, such as 1e999, stands for itself. */
type JsonText = string;

const DEEP = `${"[".repeat(20_000)}${"]".repeat(20_000)}`;
const DEEP_OBJECT = `${'{"a":'.repeat(5000)}1${"}".repeat(5000)}`;

const STRINGS: readonly [JsonText, ...JsonText[]] = [
	'""',
	'"\\u0000"',
	'"a\\u0000b"',
	'"../../../etc/passwd"',
	'"/"',
	'":"',
	'"::::"',
	'"-1"',
	'"\\ud800"',
	'"%s%n"',
	'"a b\\nc"',
	'"host"',
	'"container:none"',
	'"container:"',
	'"0x10/1e9,,"',
	JSON.stringify(LONG),
];
const NUMBERS: readonly [JsonText, ...JsonText[]] = [
	"-1",
	"0",
	"1",
	"1.5",
	"-0",
	"1e999",
	"2147483648",
	"4294967296",
	"9007199254740993",
	"9223372036854775807",
	"9223372036854775808",
	"-9223372036854775808",
	"123456789012345678901234567890",
];
const ANY: readonly [JsonText, ...JsonText[]] = [
	"null",
	"true",
	"false",
	"{}",
	"[]",
	"[null]",
	"[[]]",
	"[{}]",
	'{"__proto__":{"x":1}}',
	'{"":""}',
	'{"constructor":null}',
	'[1,"a",null]',
	DEEP,
	DEEP_OBJECT,
	"{",
	"nul",
	"'",
];

/** JSON text for a field of this shape: about half of it of the right type and out of range, the rest of any type or none. */
export function hostileJson(shape: Shape, random: Random): JsonText {
	const kind = random.below(4);
	if (kind === 0) return random.pick(ANY);
	if (kind === 1) return random.below(2) === 0 ? random.pick(STRINGS) : random.pick(NUMBERS);
	if (shape === "boolean") return random.pick(["true", "false", '"true"', "1"]);
	if (shape === "integer") return random.pick(NUMBERS);
	if (typeof shape === "string") return random.pick(STRINGS);
	if ("oneOf" in shape) return random.below(2) === 0 ? '"nonsense"' : JSON.stringify(shape.oneOf[0] ?? "");
	if ("list" in shape) return `[${hostileJson(shape.list, random)},${hostileJson(shape.list, random)}]`;
	if ("map" in shape) return `{${random.pick(STRINGS)}:${hostileJson(shape.map, random)}}`;
	const fields = Object.entries(shape.fields).filter(() => random.below(3) === 0);
	return objectOf(fields.map(([name, field]) => [name, hostileJson(field, random)]));
}

/** @param fields names and JSON text */
export function objectOf(fields: readonly (readonly [string, JsonText])[]): JsonText {
	return `{${fields.map(([name, text]) => `${JSON.stringify(name)}:${text}`).join(",")}}`;
}

/** Percent-encoded: `%FF` and a cut `%E2%82` are no UTF-8, `%ZZ` is no encoding. */
const QUERY_TEXTS: readonly [string, ...string[]] = [
	"",
	"0",
	"-1",
	"1",
	"true",
	"maybe",
	"%00",
	"a%00b",
	"%FF%FE",
	"%E2%82",
	"%ZZ",
	"%",
	"..%2F..%2Fetc",
	"%2F",
	"99999999999999999999",
	"1e999",
	"NaN",
	"0x10",
	"1.5",
	"%F0%9F%98%80",
	LONG,
];
const FILTERS: readonly [string, ...string[]] = [
	"{",
	"[]",
	"null",
	"1",
	'"x"',
	'{"label":["a"]}',
	'{"label":{"a":true}}',
	'{"label":{"a":1}}',
	'{"label":"a"}',
	'{"label":[null]}',
	'{"label!":["="]}',
	'{"name":["(((("]}',
	'{"name":["(a+)+$"]}',
	'{"until":["never"]}',
	'{"until":["99999999999999999999"]}',
	'{"dangling":["perhaps"]}',
	'{"since":["none"],"before":["none"]}',
	'{"status":["odd"]}',
	'{"exited":["1e9"]}',
	'{"publish":["99999999/udp"]}',
	'{"reference":["[[","**"]}',
	'{"__proto__":["x"]}',
	'{"unknown":["x"]}',
	DEEP.slice(0, 2000),
];
const TIMES: readonly [string, ...string[]] = [
	"0",
	"1",
	"-1",
	"1700000000.123456789",
	"1700000000.1234567890123",
	"1h",
	"-1h",
	"2023-01-01T00:00:00Z",
	"2023-99-99T00:00:00Z",
	"0001-01-01T00:00:00Z",
	"999999999999",
	"yesterday",
];

/** A query value, encoded as far as it is to be. */
export function hostileQuery(shape: Shape, random: Random): string {
	if (random.below(4) === 0) return random.pick(QUERY_TEXTS);
	if (shape === "filters") return encodeURIComponent(random.pick(FILTERS));
	if (shape === "time") return encodeURIComponent(random.pick(TIMES));
	if (shape === "boolean") return random.pick(["0", "1", "true", "False", "none", "2"]);
	if (shape === "integer") return encodeURIComponent(random.pick(NUMBERS));
	if (typeof shape === "object" && "oneOf" in shape) return random.pick([shape.oneOf[0] ?? "", "nonsense", "-1"]);
	return random.pick(QUERY_TEXTS);
}

/** What stands where a path has a name or id. */
export const NAMES: readonly [string, ...string[]] = [
	"none",
	"%00",
	"%FF%FE",
	"%E2%82",
	"%ZZ",
	"..",
	"%2E%2E",
	"..%2F..%2Fetc%2Fpasswd",
	"a%20b",
	"%20",
	"UPPER:case@x",
	"sha256:zz",
	"f".repeat(64),
	"x".repeat(3000),
	"constructor",
	"__proto__",
	"%F0%9F%98%80",
	"a%2Fb%2Fc:d:e",
];

const ENCODER = new TextEncoder();

/** Bodies that are no JSON object of any shape: cut off, of other types, not UTF-8, very deep, very long. */
export const BODIES: readonly [Uint8Array, ...Uint8Array[]] = [
	new Uint8Array(0),
	...["{", "nul", "[]", "null", "0", '"text"', "{}{}", "\ufeff{}", DEEP, DEEP_OBJECT].map((text) =>
		ENCODER.encode(text),
	),
	Uint8Array.from([0x7b, 0x22, 0xff, 0xfe, 0x22, 0x3a, 0x22, 0xc3, 0x28, 0x22, 0x7d]),
	new Uint8Array(2000).fill(0x80),
	ENCODER.encode(`{"Image":"${"y".repeat(1024 * 1024)}"}`),
];

/** Streams that are no tar, or a cut or lying one. */
export const TARS: readonly [Uint8Array, ...Uint8Array[]] = [
	new Uint8Array(0),
	new Uint8Array(1024),
	new Uint8Array(700).fill(0x41),
	ENCODER.encode("not a tar"),
	Uint8Array.from([0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3, 1, 2, 3]),
	Uint8Array.from([0x28, 0xb5, 0x2f, 0xfd, 4, 0, 0, 0]),
	lyingTar(),
];

/** One header that promises a gigabyte below a path that climbs, and ends there. */
function lyingTar(): Uint8Array {
	const header = Buffer.alloc(512);
	header.write("../../../../tmp/climbed", 0);
	header.write("0000644\0", 100);
	header.write("0000000\0", 108);
	header.write("0000000\0", 116);
	header.write("10000000000\0", 124);
	header.write("00000000000\0", 136);
	header.write("        0", 148);
	header.write("ustar\x0000", 257);
	const sum = header.reduce((total, byte) => total + byte, 0);
	header.write(`${sum.toString(8).padStart(6, "0")}\0 `, 148);
	return new Uint8Array(header);
}
