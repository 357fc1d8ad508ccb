import { expect, test } from "bun:test";
import { linesOf } from "./output.ts";

const never = new AbortController().signal;
const all = async (lines: AsyncIterable<readonly object[]>) => (await Array.fromAsync(lines)).flat();

test("lines come in order, and the last one after them", async () => {
	const lines = linesOf({ quiet: false, signal: never }, async (output) => {
		for (let i = 0; i < 600; i++) await output.text(String(i));
		return { last: true };
	});
	const found = await all(lines);
	expect([found.length, found[0], found[599], found[600]]).toEqual([
		601,
		{ stream: "0" },
		{ stream: "599" },
		{ last: true },
	]);
});

test("a quiet build tells nothing but its result; when it fails, everything", async () => {
	const quiet = { quiet: true, signal: never };
	const done = linesOf(quiet, async (output) => {
		await output.text("x");
		return { id: 1 };
	});
	expect(await all(done)).toEqual([{ id: 1 }]);
	const seen: object[] = [];
	const failing = linesOf(quiet, async (output) => {
		await output.text("x");
		throw new Error("broken");
	});
	const reading = (async () => {
		for await (const lines of failing) seen.push(...lines);
	})();
	expect(reading).rejects.toThrow("broken");
	await reading.catch(() => {});
	expect(seen).toEqual([{ stream: "x" }]);
});

test("a reader that is slow holds the work back; one that leaves ends it", async () => {
	let told = 0;
	let ended = false;
	const lines = linesOf({ quiet: false, signal: never }, async (output, signal) => {
		while (!signal.aborted) {
			await output.text("x");
			told++;
			await Bun.sleep(0);
		}
		ended = true;
		return undefined;
	});
	const iterator = lines[Symbol.asyncIterator]();
	await iterator.next();
	await Bun.sleep(400);
	const held = told;
	expect(held).toBeLessThanOrEqual(300);
	await iterator.return?.(undefined);
	expect(ended).toBe(true);
});
