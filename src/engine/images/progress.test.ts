import { expect, test } from "bun:test";
import { humanSize, linesOf, progressBar } from "./progress.ts";
import { Slots, Transfers } from "./transfers.ts";

const never = new AbortController().signal;

test("bars and sizes are docker's", () => {
	expect(progressBar(3680, 9868)).toBe("[==================>                                ]   3.68kB/9.868kB");
	expect(progressBar(30003974, 30003974)).toBe(`[${"=".repeat(50)}>]     30MB/30MB`);
	expect(progressBar(2129920, 1982375)).toBe(`[${"=".repeat(50)}>]   2.13MB`);
	expect([0, 999, 1000, 1982375, 2e9].map(humanSize)).toEqual(["0B", "999B", "1kB", "1.982MB", "2GB"]);
});

test("numbers that come too fast are left out, changes of status and the last number never", async () => {
	const lines = await Array.fromAsync(
		linesOf(undefined, async (output) => {
			for (let current = 0; current <= 50; current++) output.layer("a", { status: "Downloading", current, total: 50 });
			output.layer("a", { status: "Download complete" });
			output.layer("a", { status: "Download complete" });
		}),
	);
	expect(lines.map(({ status, progressDetail }) => [status, progressDetail])).toEqual([
		["Downloading", { current: 50, total: 50 }],
		["Download complete", {}],
	]);
});

test("an error comes after the lines before it; who stops reading aborts the work", async () => {
	const seen: unknown[] = [];
	const failing = linesOf(undefined, async (output) => {
		output.line({ status: "one" });
		throw new Error("broken");
	});
	const read = async () => {
		for await (const line of failing) seen.push(line.status);
	};
	await expect(read()).rejects.toThrow("broken");
	expect(seen).toEqual(["one"]);
	let stopped = false;
	const endless = linesOf(undefined, async (output, signal) => {
		output.line({ status: "one" });
		await new Promise<void>((resolve) => signal.addEventListener("abort", () => resolve()));
		stopped = true;
	});
	for await (const _line of endless) break;
	expect(stopped).toBe(true);
});

test("two clients share one transfer and both see it; it ends with the last of them", async () => {
	const transfers = new Transfers<number>();
	let started = 0;
	let stopped = false;
	let report = (_state: number) => {};
	const work = (tell: (state: number) => void, signal: AbortSignal) => {
		started++;
		report = tell;
		return new Promise<void>((_resolve, reject) =>
			signal.addEventListener("abort", () => {
				stopped = true;
				reject(new Error("aborted"));
			}),
		);
	};
	const [first, second] = [new AbortController(), new AbortController()];
	const seen: [string, number][] = [];
	const a = transfers.join("x", work, (state) => seen.push(["a", state]), first.signal);
	await Bun.sleep(0);
	report(1);
	const b = transfers.join("x", work, (state) => seen.push(["b", state]), second.signal);
	report(2);
	first.abort();
	await expect(a).rejects.toThrow("context canceled");
	expect([started, stopped]).toEqual([1, false]);
	second.abort();
	await expect(b).rejects.toThrow("context canceled");
	expect(stopped).toBe(true);
	expect(seen).toEqual([
		["a", 1],
		["b", 1],
		["a", 2],
		["b", 2],
	]);
});

test("what failed for another is tried again for oneself", async () => {
	const transfers = new Transfers<number>();
	const { promise, reject } = Promise.withResolvers<void>();
	const a = transfers.join(
		"x",
		() => promise,
		() => {},
		never,
	);
	const b = transfers.join(
		"x",
		async () => {},
		() => {},
		never,
	);
	reject(new Error("no access"));
	await expect(a).rejects.toThrow("no access");
	await b;
});

test("slots are given in order; who leaves the queue takes none", async () => {
	const slots = new Slots(1);
	const first = await slots.acquire(never);
	const leaving = new AbortController();
	let waited = 0;
	const left = slots.acquire(leaving.signal, () => waited++);
	const next = slots.acquire(never, () => waited++);
	leaving.abort();
	await expect(left).rejects.toThrow("context canceled");
	first[Symbol.dispose]();
	(await next)[Symbol.dispose]();
	(await slots.acquire(never, () => waited++))[Symbol.dispose]();
	expect(waited).toBe(2);
});
