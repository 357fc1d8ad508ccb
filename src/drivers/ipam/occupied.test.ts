import { expect, test } from "bun:test";
import { parseAddressPool, subnets4 } from "./configured.ts";
import { occupied } from "./occupied.ts";
import { chooseSubnet } from "./pool.ts";

test("a span touches those that share an address with it, however they lie in each other", () => {
	const touches = occupied<number>([
		{ first: 50, last: 59 },
		{ first: 10, last: 39 },
		{ first: 12, last: 13 },
		{ first: 59, last: 60 },
	]);
	const at = (first: number, last: number) => touches({ first, last });
	expect([at(0, 9), at(0, 10), at(20, 21), at(39, 45), at(40, 49), at(0, 100), at(60, 60), at(61, 99)]).toEqual([
		...[false, true, true, true, false, true, true, false],
	]);
	expect(occupied<bigint>([])({ first: 0n, last: 1n })).toBe(false);
});

test("the last free subnet among 60,000 in use is found without comparing each with each", () => {
	const pool = parseAddressPool("base=10.0.0.0/8,size=24");
	const all = [...subnets4(pool ? [pool] : [])];
	const started = performance.now();
	expect(chooseSubnet(all, all.slice(0, 60_000))).toEqual(all[60_000] ?? { base: 0, prefixLength: 0 });
	// Each with each is 1.8 billion comparisons.
	expect(performance.now() - started).toBeLessThan(2000);
});
