import { expect, test } from "bun:test";
import { parseSignal, signalName } from "./signals.ts";

test("parseSignal() takes docker's forms", () => {
	expect(["9", "KILL", "SIGKILL", "sigkill", "Term", "RTMIN+3", "SIGRTMAX-1"].map(parseSignal)).toEqual([
		9, 9, 9, 9, 15, 37, 63,
	]);
});

test("parseSignal() refuses what is no signal", () => {
	expect(["", "0", "65", "KILLER", "RTMIN-1", "RTMAX+1", "-9", "toString"].map(parseSignal)).toEqual(
		Array.from({ length: 8 }, () => undefined),
	);
});

test("signalName() gives the usual name", () => {
	expect([15, 6, 29, 34, 37].map(signalName)).toEqual(["SIGTERM", "SIGABRT", "SIGIO", "SIGRTMIN+0", "SIGRTMIN+3"]);
});
