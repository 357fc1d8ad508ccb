import { expect, test } from "bun:test";
import { checkOptions, needsMount } from "./options.ts";

test.each<[Record<string, string>, string]>([
	[{ foo: "bar" }, 'invalid option: "foo"'],
	[{ type: "tmpfs" }, 'missing required option: "device"'],
	[{ device: "/tmp" }, 'missing required option: "type"'],
	[{ o: "bind" }, 'missing required option: "device"'],
	[{ size: "10m" }, "quota size requested but no quota support"],
	[{ size: "much" }, "invalid size: 'much'"],
])("options %p are refused in docker's words", (options, text) => {
	expect(() => checkOptions(options)).toThrow(text);
});

test("empty options, and no quota, are a plain directory", () => {
	const plain: Record<string, string>[] = [{}, { type: "", device: "", o: "" }, { size: "0" }];
	for (const options of plain) {
		checkOptions(options);
		expect(needsMount(options)).toBe(false);
	}
	expect(needsMount({ type: "none", device: "/tmp", o: "bind" })).toBe(true);
});
