import { expect, test } from "bun:test";
import { parseTimestamp } from "./timestamp.ts";

const NOW = 1_700_000_000_000_000_000n;
const SECOND = 1_000_000_000n;

test("parseTimestamp() reads seconds with a fraction, exactly", () => {
	expect(parseTimestamp("1699999999", NOW)).toBe(NOW - SECOND);
	expect(parseTimestamp("1699999999.000000001", NOW)).toBe(NOW - SECOND + 1n);
	expect(parseTimestamp("1699999999.5", NOW)).toBe(NOW - SECOND / 2n);
});

test("parseTimestamp() reads RFC 3339, with all nine digits, and parts of it", () => {
	expect(parseTimestamp("2023-11-14T22:13:20.123456789Z", NOW)).toBe(NOW + 123_456_789n);
	expect(parseTimestamp("2023-11-14T23:13:20+01:00", NOW)).toBe(NOW);
	expect(parseTimestamp("2023-11-14T22:13Z", NOW)).toBe(NOW - 20n * SECOND);
	const local = BigInt(new Date(2023, 10, 14).getTime()) * 1_000_000n;
	expect(parseTimestamp("2023-11-14", NOW)).toBe(local);
	expect(parseTimestamp("2023-11-14T00:00", NOW)).toBe(local);
});

test("parseTimestamp() takes a duration back from now", () => {
	expect(parseTimestamp("1h30m", NOW)).toBe(NOW - 5400n * SECOND);
	expect(parseTimestamp("1.5s", NOW)).toBe(NOW - 1_500_000_000n);
	expect(parseTimestamp("10ms2us", NOW)).toBe(NOW - 10_002_000n);
});

test.each(["", "bad", "-5m", "1x", "2023-13-40", "2023-11-14T", "9".repeat(30), `${"1h".repeat(50)}`, "1h 2m"])(
	"parseTimestamp(%p) is none",
	(text) => {
		expect(parseTimestamp(text, NOW)).toBeUndefined();
	},
);
