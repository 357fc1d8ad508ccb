import { expect, test } from "bun:test";
import {
	goDuration,
	judged,
	mergeHealthcheck,
	nextProbe,
	probeOutput,
	probePlan,
	validateHealthcheck,
} from "./health.ts";
import type { Health } from "./record.ts";

const at = (seconds: number) => new Date(1_700_000_000_000 + seconds * 1000).toISOString();
const plan = (more = {}) => {
	const made = probePlan({ Healthcheck: { Test: ["CMD", "true"], ...more } });
	if (!made) throw new Error("no plan");
	return made;
};
const STARTING: Health = { status: "starting", failingStreak: 0, log: [] };
const result = (exitCode: number, second: number) => ({ start: at(second), end: at(second), exitCode, output: "" });

test("a check without a command, or NONE, is none", () => {
	expect(probePlan({})).toBeUndefined();
	expect(probePlan({ Healthcheck: { Test: ["NONE"] } })).toBeUndefined();
	expect(probePlan({ Healthcheck: { Interval: 1e9 } })).toBeUndefined();
	expect(probePlan({ Healthcheck: { Test: ["CMD-SHELL", "a b"] } })?.command).toEqual(["/bin/sh", "-c", "a b"]);
});

test("docker's defaults stand for what is left open", () => {
	expect(plan()).toEqual({
		command: ["true"],
		interval: 30_000,
		timeout: 30_000,
		startPeriod: 0,
		startInterval: 5_000,
		retries: 3,
	});
});

test("the start interval holds in the start period until the container is healthy", () => {
	const timed = plan({ StartPeriod: 10e9, StartInterval: 2e9, Interval: 60e9 });
	const now = Date.parse(at(5));
	expect(nextProbe(timed, "starting", at(0), now)).toBe(2000);
	expect(nextProbe(timed, "healthy", at(0), now)).toBe(60_000);
	expect(nextProbe(timed, "starting", at(0), Date.parse(at(10)))).toBe(60_000);
});

test("unhealthy after as many failures in a row as there are retries, healthy after one success", () => {
	const two = plan({ Retries: 2 });
	const once = judged(STARTING, result(1, 1), two, at(0));
	expect([once.status, once.failingStreak]).toEqual(["starting", 1]);
	const twice = judged(once, result(1, 2), two, at(0));
	expect([twice.status, twice.failingStreak]).toEqual(["unhealthy", 2]);
	const again = judged(twice, result(0, 3), two, at(0));
	expect([again.status, again.failingStreak]).toEqual(["healthy", 0]);
});

test("failures in the start period do not count, unless the container has been healthy", () => {
	const slow = plan({ Retries: 1, StartPeriod: 10e9 });
	expect(judged(STARTING, result(1, 5), slow, at(0)).failingStreak).toBe(0);
	expect(judged(STARTING, result(1, 11), slow, at(0)).status).toBe("unhealthy");
	expect(judged({ ...STARTING, status: "healthy" }, result(1, 5), slow, at(0)).status).toBe("unhealthy");
});

test("the log holds the last five results, output is cut at 4096 bytes", () => {
	let health = STARTING;
	for (let i = 0; i < 7; i++) health = judged(health, result(0, i), plan(), at(0));
	expect(health.log.map(({ start }) => start)).toEqual([2, 3, 4, 5, 6].map(at));
	expect(probeOutput(Buffer.alloc(5000, "x"))).toBe(`${"x".repeat(4096)}...`);
	expect(probeOutput(Buffer.alloc(4096, "x"))).toBe("x".repeat(4096));
});

test("a client's check takes what it leaves open from the image's", () => {
	const image = { Test: ["CMD", "a"], Interval: 5e9, Retries: 2 };
	expect(mergeHealthcheck(undefined, image)).toEqual(image);
	expect(mergeHealthcheck({ Interval: 1e9 }, image)).toEqual({ Test: ["CMD", "a"], Interval: 1e9, Retries: 2 });
	expect(mergeHealthcheck({ Test: ["NONE"] }, image)?.Test).toEqual(["NONE"]);
	expect(mergeHealthcheck(undefined, undefined)).toBeUndefined();
});

test("times below a millisecond and negative retries are refused", () => {
	expect(() => validateHealthcheck({ Timeout: 999_999 })).toThrow("Timeout in Healthcheck cannot be less than 1ms");
	expect(() => validateHealthcheck({ Interval: -1 })).toThrow("Interval in Healthcheck cannot be less than 1ms");
	expect(() => validateHealthcheck({ Retries: -1 })).toThrow("Retries in Healthcheck cannot be negative");
	validateHealthcheck({ Interval: 1_000_000 });
});

test.each([
	[500, "500ms"],
	[2000, "2s"],
	[1500, "1.5s"],
	[90_000, "1m30s"],
	[3_600_000, "1h0m0s"],
])("%p ms are %p in Go", (milliseconds, text) => {
	expect(goDuration(milliseconds)).toBe(text);
});
