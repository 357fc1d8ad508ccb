import { expect, test } from "bun:test";
import { countsOfJunit, countsOfLastLine } from "./test-counts.ts";

test("a JUnit report counts skipped tests apart from passed ones", () => {
	const xml =
		'<?xml version="1.0"?>\n<testsuites name="bun test" tests="12" assertions="30" failures="2" skipped="3" time="1">';
	expect(countsOfJunit(xml)).toEqual({ passed: 7, failed: 2, skipped: 3 });
});

test("the last summary line of an output counts", () => {
	expect(countsOfLastLine("1 passed, 0 failed, 0 skipped\nok\n5 passed, 1 failed, 2 skipped\n")).toEqual({
		passed: 5,
		failed: 1,
		skipped: 2,
	});
});

test("an output without a summary line is a failure", () => {
	expect(countsOfLastLine("ok everything\n")).toEqual({ passed: 0, failed: 1, skipped: 0 });
});
