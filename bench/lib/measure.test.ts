import { expect, test } from "bun:test";
import { formatRows, median } from "./measure.ts";

test("the median of an even number of values lies between the middle two", () => {
	expect(median([4, 1, 3, 100])).toBe(3.5);
	expect(median([5, 1, 9])).toBe(5);
});

test("a row shows medians, the first engine's ratio to the second, and the goal", () => {
	const row = { title: "t", unit: "ms", better: "lower" as const, goal: 0.1, bar: 13, values: {}, errors: {} };
	const table = formatRows([{ ...row, medians: { a: 10, b: 200 } }], ["a", "b"]);
	expect(table.split("\n")[2]).toBe("| t, ms | 10.0 | 200 | 0.050x | <= 0.1x, 13 ms |");
});

test("an engine that could not be measured says why", () => {
	const row = { title: "t", unit: "ms", better: "lower" as const, values: {}, errors: { a: "no | pipe" } };
	expect(formatRows([{ ...row, medians: { b: 2 } }], ["a", "b"])).toContain("| failed: no / pipe | 2.00 | - |  |");
});
