import { expect, test } from "bun:test";
import { repeatedKey } from "../shared/repeated-key.ts";
import { object, parseJson, string } from "./body.ts";

test.each([
	['{"a":1,"a":2}', "a"],
	['{"HostConfig":{"CapDrop":["ALL"]},"HostConfig":{}}', "HostConfig"],
	['{"x":{"y":[{"b":1},{"c":1 , "c"\n:2}]}}', "c"],
	['{"\\u0061":1,"a":2}', "a"],
	['{"":1,"":2}', ""],
	['{"__proto__":1,"__proto__":2}', "__proto__"],
	['{"a\\\\":1,"a\\\\":2}', "a\\"],
	['{"q\\"":{"n":1},"z":"q\\"","q\\"":2}', 'q"'],
])("a key that stands twice is found: %s", (text, key) => {
	JSON.parse(text);
	expect(repeatedKey(text)).toBe(key);
	expect(() => parseJson(text)).toThrow(`invalid JSON: duplicate key ${JSON.stringify(key)}`);
});

test.each([
	'{"a":"a","b":"b"}',
	'{"a":{"a":{"a":1}},"b":{"a":1}}',
	'[{"a":1},{"a":1},"a","a"]',
	'{"a":1,"A":2}',
	'{"a":"{\\"a\\":1,\\"a\\":2}","b":"\\\\"}',
	'"a"',
	"1",
	`${"[".repeat(1000)}${"]".repeat(1000)}`,
])("keys of their own are none: %s", (text) => {
	expect(parseJson(text)).toEqual(JSON.parse(text));
});

test("a megabyte of keys and of quotes takes no time", () => {
	const many = JSON.stringify(
		Object.fromEntries(Array.from({ length: 50_000 }, (_, i) => [`key-${i}`, '\\"'.repeat(5)])),
	);
	const start = performance.now();
	expect(repeatedKey(many)).toBeUndefined();
	expect(performance.now() - start).toBeLessThan(1000);
});

test("field names fold as Go folds them", () => {
	const decode = object({ HostConfig: string(), Kind: string() });
	expect(decode(JSON.parse('{"ho\u017ftCONFIG":"a","\u212aind":"b"}'), "Config")).toEqual({
		HostConfig: "a",
		Kind: "b",
	});
	expect(() => decode({ HostConfig: "a", "Ho\u017ftConfig": "b" }, "Config")).toThrow(
		"duplicate field Config.HostConfig",
	);
});
