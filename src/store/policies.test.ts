import { Database } from "bun:sqlite";
import { expect, test } from "bun:test";
import { PolicyStore, policiesSchema, unsettledSchema } from "./policies.ts";

function opened() {
	const database = new Database(":memory:");
	database.exec(policiesSchema + unsettledSchema);
	return new PolicyStore<{ name: string; text: string }>(database);
}

test("the list is by name, and the same object until a policy changes", () => {
	const store = opened();
	const [a, b] = [
		{ name: "a", text: "1" },
		{ name: "b", text: "1" },
	];
	store.change([b, a]);
	const before = store.list();
	expect(before).toEqual([a, b]);
	expect(store.list()).toBe(before);
	store.change([], ["a"]);
	expect(store.list()).toEqual([b]);
	expect(before).toEqual([a, b]);
});

test("a list told ahead is the list when just that has been put, and not otherwise", () => {
	const store = opened();
	const [old, next, other] = [
		{ name: "b", text: "1" },
		{ name: "b", text: "2" },
		{ name: "a", text: "1" },
	];
	store.change([old]);
	const ahead = store.ahead([next, other]);
	expect(ahead).toEqual([other, next]);
	expect(store.list()).toEqual([old]);
	store.change([other, next]);
	expect(store.list()).toBe(ahead);
	const missed = store.ahead([old]);
	store.change([], ["a"]);
	expect(store.list()).toEqual([next]);
	expect(store.list()).not.toBe(missed);
});
