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
	expect(openEventJournal(directory).read()).toEqual([event(1, { name: "wéb\n" }), event(2)]);
	expect(statSync(join(directory, "events.jsonl")).mode & 0o777).toBe(0o600);
});

test("over many runs the last 1000 are kept, in two files that stay small", () => {
	for (let run = 0; run < 10; run++) {
		const journal = openEventJournal(directory);
		for (let i = 0; i < 370; i++) journal.append(event(run * 370 + i));
		journal.close();
	}
	const kept = openEventJournal(directory).read();
	expect([kept.length, kept[0]?.action, kept.at(-1)?.action]).toEqual([1000, "a2700", "a3699"]);
	expect(readdirSync(directory).sort()).toEqual(["events.1.jsonl", "events.jsonl"]);
});

test("large events do not let the files grow beyond their bounds", () => {
	const journal = openEventJournal(directory);
	for (let i = 0; i < 12; i++) journal.append(event(i, { label: "x".repeat(1024 * 1024) }));
	const sizes = readdirSync(directory).map((name) => statSync(join(directory, name)).size);
	expect(Math.max(...sizes)).toBeLessThan(6 * 1024 * 1024);
	expect(journal.read().at(-1)?.action).toBe("a11");
});

test("a line cut off by a crash costs that line alone", () => {
	openEventJournal(directory).append(event(1));
	appendFileSync(join(directory, "events.jsonl"), '{"at":"12","type":"conta');
	const journal = openEventJournal(directory);
	journal.append(event(2));
	journal.append(event(3));
	expect(journal.read().map(({ action }) => action)).toEqual(["a1", "a2", "a3"]);
});

test("lines that are JSON but no event are left out", () => {
	const journal = openEventJournal(directory);
	for (const line of ["null", "[]", "{}", '{"at":"x","type":"","action":"","id":"","attributes":{}}']) {
		appendFileSync(join(directory, "events.jsonl"), `${line}\n`);
	}
	journal.append(event(1));
	expect(journal.read()).toEqual([event(1)]);
});
