import { afterEach, beforeEach, expect, test } from "bun:test";
import { appendFileSync, mkdtempSync, readdirSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openEventJournal } from "./events.ts";

let directory: string;

beforeEach(() => {
	directory = mkdtempSync(join(tmpdir(), `fd-events-${process.pid}-`));
});
afterEach(() => rmSync(directory, { recursive: true }));

const event = (n: number, attributes: Record<string, string> = {}) => ({
	at: 1_795_249_637_123_456_789n + BigInt(n),
	type: "container",
	action: `a${n}`,
	id: "c",
	attributes,
});

test("what was appended is read again exactly, without a close between", () => {
	const journal = openEventJournal(directory);
	journal.append(event(1, { name: "wéb\n" }));
	journal.append(event(2));
	expect(openEventJournal(directory).earlier()).toEqual([event(1, { name: "wéb\n" }), event(2)]);
	expect(statSync(join(directory, "events.jsonl")).mode & 0o777).toBe(0o600);
});

test("earlier() leaves out what this run appended", () => {
	openEventJournal(directory).append(event(1));
	const journal = openEventJournal(directory);
	journal.append(event(2));
	journal.append(event(3));
	expect(journal.earlier()).toEqual([event(1)]);
});

test("over many runs the last 1000 are given, from files that do not grow without bound", () => {
	const padding = { label: "x".repeat(3000) };
	for (let run = 0; run < 10; run++) {
		const journal = openEventJournal(directory);
		for (let i = 0; i < 370; i++) journal.append(event(run * 370 + i, padding));
		journal.close();
	}
	const kept = openEventJournal(directory).earlier();
	expect([kept.length, kept[0]?.action, kept.at(-1)?.action]).toEqual([1000, "a2700", "a3699"]);
	expect(readdirSync(directory).sort()).toEqual(["events.1.jsonl", "events.jsonl"]);
	const sizes = readdirSync(directory).map((name) => statSync(join(directory, name)).size);
	expect(Math.max(...sizes)).toBeLessThan(4.1 * 1024 * 1024);
});

test("a line cut off by a crash costs that line alone", () => {
	openEventJournal(directory).append(event(1));
	appendFileSync(join(directory, "events.jsonl"), '{"at":"12","type":"conta');
	const journal = openEventJournal(directory);
	journal.append(event(2));
	journal.close();
	const again = openEventJournal(directory);
	again.append(event(3));
	again.close();
	const kept = openEventJournal(directory).earlier();
	expect(kept.map(({ action }) => action)).toEqual(["a1", "a2", "a3"]);
});

test("lines that are JSON but no event are left out", () => {
	openEventJournal(directory).append(event(1));
	for (const line of ["null", "[]", "{}", '{"at":"x","type":"","action":"","id":"","attributes":{}}']) {
		appendFileSync(join(directory, "events.jsonl"), `${line}\n`);
	}
	expect(openEventJournal(directory).earlier()).toEqual([event(1)]);
});
