import { expect, test } from "bun:test";
import type { ResourceUsage } from "../../drivers/runtime/driver.ts";
import type { Context } from "./context.ts";
import { createStats } from "./stats.ts";

/** One container "c1" that can run, stop and go; counts how often it is sampled. */
function fake() {
	let samples = 0;
	const record = { id: "c1", name: "web", state: { status: "running", pid: 1, startedAt: "" } as { status: string } };
	const records = new Map([["c1", record]]);
	const store = { get: (id: string) => records.get(id), byName: () => undefined, byPrefix: () => [] };
	const runtime = { usage: async () => ({ cpu: { total: ++samples } }) as ResourceUsage };
	const context = { store, runtime } as unknown as Context;
	return {
		stats: createStats(() => context, 20),
		samples: () => samples,
		stop: () => {
			record.state = { status: "exited" };
		},
		remove: () => void records.delete("c1"),
	};
}

const total = (frame: { usage?: ResourceUsage } | undefined) => frame?.usage?.cpu.total;

test("a watcher gets a frame at once, then pairs with the one before", async () => {
	const { stats } = fake();
	const seen: (number | undefined)[][] = [];
	for await (const { current, previous } of stats.watch("c1", new AbortController().signal)) {
		seen.push([total(previous), total(current)]);
		if (seen.length === 3) break;
	}
	expect(seen).toEqual([
		[undefined, 1],
		[1, 2],
		[2, 3],
	]);
});

test("two watchers share the samples, and none are taken when they have gone", async () => {
	const { stats, samples } = fake();
	const watch = async () => {
		let count = 0;
		for await (const _ of stats.watch("c1", new AbortController().signal)) if (++count === 4) return;
	};
	await Promise.all([watch(), watch()]);
	const taken = samples();
	expect(taken).toBeLessThanOrEqual(5);
	await Bun.sleep(60);
	expect(samples()).toBe(taken);
});

test("once() waits for a second frame unless one shot is asked for", async () => {
	const { stats } = fake();
	expect(total((await stats.once("c1", true)).previous)).toBeUndefined();
	const { current, previous } = await stats.once("c1", false);
	expect([total(previous), total(current)]).toEqual([2, 3]);
});

test("a container that does not run has frames without numbers; the stream ends when it is removed", async () => {
	const { stats, stop, remove } = fake();
	stop();
	expect(await stats.once("c1", false)).toEqual({ current: { id: "c1", name: "web" } });
	const frames: unknown[] = [];
	for await (const { current } of stats.watch("c1", new AbortController().signal)) {
		frames.push(current);
		remove();
	}
	expect(frames).toEqual([{ id: "c1", name: "web" }]);
});

test("a watcher that leaves by its signal ends", async () => {
	const { stats } = fake();
	const abort = new AbortController();
	let count = 0;
	for await (const _ of stats.watch("c1", abort.signal)) {
		count++;
		abort.abort();
	}
	expect(count).toBe(1);
});
