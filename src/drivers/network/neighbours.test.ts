import { expect, test } from "bun:test";
import { createLogger, silentLogger } from "../../shared/log.ts";
import { NeighbourTables, type Sysctls, tableSize } from "./neighbours.ts";

const THIRD = "net/ipv4/neigh/default/gc_thresh3";
const SECOND = "net/ipv4/neigh/default/gc_thresh2";
const address = { address: 0x0a000002, prefixLength: 16 };
const on = (bridge: string, members: number) => ({ bridge, members, addresses: [address] });

function fake(values: Record<string, string>): Sysctls & { values: Record<string, string> } {
	return {
		values,
		read: (path) => values[path],
		write: (path, value) => void Object.assign(values, { [path]: value }),
	};
}

test("room for twice the members of each network squared, within bounds", () => {
	expect(tableSize([])).toBe(1024);
	expect(tableSize([22])).toBe(1024);
	expect(tableSize([23])).toBe(2048);
	expect(tableSize([100])).toBe(32_768);
	expect(tableSize([100, 100])).toBe(65_536);
	expect(tableSize([5000])).toBe(262_144);
});

test("the table grows with the networks and never shrinks", () => {
	const sysctls = fake({ [THIRD]: "1024", [SECOND]: "512" });
	const tables = new NeighbourTables(silentLogger, sysctls);
	tables.expect(on("a", 20));
	expect(sysctls.values).toEqual({ [THIRD]: "1024", [SECOND]: "512" });
	tables.expect(on("a", 30));
	expect(sysctls.values).toEqual({ [THIRD]: "2048", [SECOND]: "1024" });
	tables.expect(on("b", 30));
	expect(sysctls.values).toEqual({ [THIRD]: "4096", [SECOND]: "2048" });
	tables.expect(on("a", 1));
	expect(sysctls.values).toEqual({ [THIRD]: "4096", [SECOND]: "2048" });
});

test("what the host has set larger is left alone, and so is the other family", () => {
	const sysctls = fake({ [THIRD]: "100000", [SECOND]: "50000", "net/ipv6/neigh/default/gc_thresh3": "1024" });
	new NeighbourTables(silentLogger, sysctls).expect(on("a", 100));
	expect(Object.values(sysctls.values)).toEqual(["100000", "50000", "1024"]);
});

test("where there is no such setting nothing is done, and where it cannot be changed that is told", () => {
	const lines: string[] = [];
	const log = createLogger("debug", {}, (line) => void lines.push(line));
	const nothing = fake({});
	new NeighbourTables(log, nothing).expect(on("a", 100));
	expect([nothing.values, lines]).toEqual([{}, []]);
	const refusing: Sysctls = {
		read: () => "1",
		write: () => {
			throw new Error("read-only");
		},
	};
	new NeighbourTables(log, refusing).expect(on("a", 100));
	expect(lines.join()).toContain("neighbour table not enlarged");
});
