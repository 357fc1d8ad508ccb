import { expect, test } from "bun:test";
import { createEventBus } from "./event-bus.ts";
import { createLocks } from "./lock.ts";

async function actions(stream: AsyncIterable<{ Action: string }>, count = Number.POSITIVE_INFINITY): Promise<string[]> {
	const seen: string[] = [];
	for await (const { Action } of stream) {
		seen.push(Action);
		if (seen.length >= count) break;
	}
	return seen;
}

test("subscribe() gives kept events from `since` on, then live ones", async () => {
	let now = 10n;
	const bus = createEventBus(() => now);
	bus.publish("container", "old", "c", {});
	now = 20n;
	bus.publish("container", "kept", "c", {});
	const stream = bus.subscribe({ since: 20n }, new AbortController().signal);
	bus.publish("container", "live", "c", {});
	expect(await actions(stream, 2)).toEqual(["kept", "live"]);
});

test("subscribe() without `since` gives live ones alone and ends on abort", async () => {
	const bus = createEventBus();
	bus.publish("container", "before", "c", {});
	const abort = new AbortController();
	const seen = actions(bus.subscribe({}, abort.signal));
	bus.publish("container", "after", "c", {});
	await Bun.sleep(1);
	abort.abort();
	expect(await seen).toEqual(["after"]);
});

test("subscribe() ends at `until`; in the past, once the kept ones are given", async () => {
	const bus = createEventBus(() => 20n);
	bus.publish("container", "kept", "c", {});
	expect(await actions(bus.subscribe({ since: 0n, until: 20n }, new AbortController().signal))).toEqual(["kept"]);
});

test("only the last 1000 are kept, and no two have the same time", async () => {
	const bus = createEventBus(() => 1n);
	for (let i = 0; i < 1001; i++) bus.publish("container", String(i), "c", {});
	const stream = bus.subscribe({ since: 0n, until: 1n << 62n }, AbortSignal.timeout(5));
	const seen = await actions(stream);
	expect([seen.length, seen[0]]).toEqual([1000, "1"]);
});

test("a lock runs work of one key in order, also after a failure; other keys go on", async () => {
	const locks = createLocks();
	const order: string[] = [];
	const first = locks.run("a", async () => {
		await Bun.sleep(2);
		order.push("a1");
		throw new Error("failed");
	});
	const second = locks.run("a", async () => void order.push("a2"));
	await locks.run("b", async () => void order.push("b"));
	await expect(first).rejects.toThrow("failed");
	await second;
	expect(order).toEqual(["b", "a1", "a2"]);
});
