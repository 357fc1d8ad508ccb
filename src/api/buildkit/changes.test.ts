import { expect, test } from "bun:test";
import { Changes } from "./changes.ts";

/** A signal that counts who listens. */
function counted() {
	const controller = new AbortController();
	const { signal } = controller;
	let listeners = 0;
	const [add, remove] = [signal.addEventListener.bind(signal), signal.removeEventListener.bind(signal)];
	signal.addEventListener = (...all: Parameters<typeof add>) => {
		listeners++;
		add(...all);
	};
	signal.removeEventListener = (...all: Parameters<typeof remove>) => {
		listeners--;
		remove(...all);
	};
	return { controller, signal, listeners: () => listeners };
}

test("who waits is woken by the next change, and leaves nothing on the signal", async () => {
	const changes = new Changes();
	const { signal, listeners } = counted();
	for (let n = 0; n < 3; n++) {
		const both = [changes.next(signal), changes.next(signal)];
		expect(listeners()).toBe(2);
		changes.tell();
		await Promise.all(both);
		expect(listeners()).toBe(0);
	}
});

test("a signal that fires, or has fired, ends the wait", async () => {
	const changes = new Changes();
	const { controller, signal } = counted();
	const waiting = changes.next(signal);
	controller.abort();
	await waiting;
	await changes.next(signal);
});
