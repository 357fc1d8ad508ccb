import { expect, test } from "bun:test";
import type { StoredEvent } from "../store/events.ts";
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
	const bus = createEventBus({ now: () => now });
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
	const bus = createEventBus({ now: () => 20n });
	bus.publish("container", "kept", "c", {});
	expect(await actions(bus.subscribe({ since: 0n, until: 20n }, new AbortController().signal))).toEqual(["kept"]);
});

test("only the last 1000 are kept, and no two have the same time", async () => {
	const bus = createEventBus({ now: () => 1n });
	for (let i = 0; i < 1001; i++) bus.publish("container", String(i), "c", {});
	const stream = bus.subscribe({ since: 0n, until: 1n << 62n }, AbortSignal.timeout(5));
	const seen = await actions(stream);
	expect([seen.length, seen[0]]).toEqual([1000, "1"]);
});

test("subscribe() with `until` alone gives all that was kept before it, as docker does", async () => {
	let now = 10n;
	const bus = createEventBus({ now: () => now });
	bus.publish("container", "old", "c", {});
	now = 20n;
	bus.publish("container", "late", "c", {});
	expect(await actions(bus.subscribe({ until: 15n }, new AbortController().signal))).toEqual(["old"]);
});

/** A journal in memory that holds `before` at its opening. */
function memoryJournal(before: readonly StoredEvent[] = []) {
	const stored = [...before];
	return {
		stored,
		append: (event: StoredEvent) => void stored.push(event),
		earlier: () => [...before],
		close: () => {},
	};
}

test("events of an earlier run are replayed, once, and before those of this run", async () => {
	const first = memoryJournal();
	createEventBus({ now: () => 5n, journal: first }).publish("container", "before", "c", { name: "web" });
	const bus = createEventBus({ now: () => 6n, journal: memoryJournal(first.stored) });
	bus.publish("container", "after", "c", {});
	const replay = () => Array.fromAsync(bus.subscribe({ since: 1n, until: 6n }, AbortSignal.timeout(5)));
	const seen = await replay();
	expect(seen.map(({ Action, timeNano }) => [Action, timeNano])).toEqual([
		["before", 5n],
		["after", 6n],
	]);
	expect(seen[0]?.Actor).toEqual({ ID: "c", Attributes: { name: "web" } });
	expect(await replay()).toEqual(seen);
});

test("of this run and the earlier ones together the last 1000 are replayed", async () => {
	const event = (n: number) => ({ at: BigInt(n), type: "container", action: `a${n}`, id: "c", attributes: {} });
	const bus = createEventBus({
		now: () => 1001n,
		journal: memoryJournal(Array.from({ length: 1000 }, (_, n) => event(n))),
	});
	for (const action of ["a1001", "a1002"]) bus.publish("container", action, "c", {});
	const seen = await actions(bus.subscribe({ until: 2000n }, AbortSignal.timeout(5)));
	expect([seen.length, seen[0], seen.at(-1)]).toEqual([1000, "a2", "a1002"]);
});

test("an event that cannot be written is told all the same", async () => {
	const journal = {
		...memoryJournal(),
		append: () => {
			throw new Error("no space left on device");
		},
	};
	const bus = createEventBus({ journal });
	const stream = bus.subscribe({}, new AbortController().signal);
	bus.publish("container", "told", "c", {});
	expect(await actions(stream, 1)).toEqual(["told"]);
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
