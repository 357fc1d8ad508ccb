import { expect, test } from "bun:test";
import { nanoClock, nowNanos } from "./time.ts";

function clocks(wall: number, steady: number) {
	const at = { wall, steady };
	return {
		at,
		clock: nanoClock(
			() => Math.floor(at.wall),
			() => at.steady,
		),
	};
}

test("time goes on in fractions of milliseconds", () => {
	const { at, clock } = clocks(1_763_742_000_000, 5000);
	const begin = clock();
	at.wall += 0.25;
	at.steady += 0.25;
	// Numbers are exact to a quarter of a microsecond.
	expect(Math.abs(Number(clock() - begin) - 250_000)).toBeLessThan(1000);
});

for (const [what, wall, steady] of [
	["set forward", 3_600_000, 10],
	["set back", -3_600_000, 10],
	["ahead after a sleep of the machine", 28_800_000, 0],
] as const) {
	test(`the wall clock ${what} is followed`, () => {
		const { at, clock } = clocks(1_763_742_000_000, 5000);
		clock();
		at.wall += wall;
		at.steady += steady;
		expect(Math.abs(Number(clock() / 1000n) / 1000 - at.wall)).toBeLessThan(0.01);
		at.wall += 1;
		at.steady += 1;
		expect(Math.abs(Number(clock() / 1000n) / 1000 - at.wall)).toBeLessThan(0.01);
	});
}

test("small corrections of the wall clock do not turn time back", () => {
	const { at, clock } = clocks(1_763_742_000_000, 5000);
	let last = clock();
	for (let i = 0; i < 100; i++) {
		at.wall += 1;
		at.steady += 1.05;
		const now = clock();
		expect(now).toBeGreaterThan(last);
		last = now;
	}
});

test("it is the wall clock's time", () => {
	const apart = Math.abs(Number(nowNanos() / 1_000_000n) - Date.now());
	expect(apart).toBeLessThan(15);
});
