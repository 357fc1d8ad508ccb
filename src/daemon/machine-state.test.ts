import { expect, test } from "bun:test";
import { machineGoesDown } from "./machine-state.ts";

test("the machine goes down when systemd runs it and says so", () => {
	expect(machineGoesDown(() => "stopping\n", "/")).toBe(true);
	expect(machineGoesDown(() => "degraded\n", "/")).toBe(false);
	expect(machineGoesDown(() => undefined, "/")).toBe(false);
	expect(machineGoesDown(() => "stopping\n", "/nonexistent")).toBe(false);
});
