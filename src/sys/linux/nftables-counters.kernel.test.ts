import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createNetns, removeNetns, withNetns } from "./netns.ts";
import { Nftables } from "./nftables.ts";
import { CounterSocket } from "./nftables-counters.ts";

const directory = mkdtempSync(join(tmpdir(), "foredeck-counters-"));
const path = join(directory, "netns");

beforeAll(() => createNetns(path, () => undefined));

afterAll(() => {
	removeNetns(path);
	rmSync(directory, { recursive: true });
});

test("a table's counters are read by name, as many as there are; others' are not, nor those of no table", () => {
	const [nft, socket] = withNetns(path, () => [new Nftables(), new CounterSocket()] as const);
	using _nft = nft;
	using _socket = socket;
	const many = Array.from({ length: 500 }, (_, at) => `counter c/${at} { packets ${at} bytes ${at * 2 ** 33} }`);
	nft.run(`table inet one {\n${many.join("\n")}\nquota q {\n5 bytes\n}\n}\ntable inet two { counter c/1 {\n}\n}\n`);
	nft.run("table ip one { counter other {\npackets 1 bytes 1\n}\n}");
	const counters = socket.counters("one");
	expect(counters.size).toBe(500);
	expect(counters.get("c/499")).toEqual({ packets: 499, bytes: 499 * 2 ** 33 });
	expect([...socket.counters("two")]).toEqual([["c/1", { packets: 0, bytes: 0 }]]);
	expect(socket.counters("none").size).toBe(0);
});
