import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { cleanMappings, dropExecutablePages } from "./resident.ts";

const SMAPS = `00200000-00300000 r--p 00000000 08:01 42                         /opt/a b
Size:               1024 kB
Anonymous:             0 kB
00300000-00500000 r-xp 00100000 08:01 42                         /opt/a b
Anonymous:             0 kB
00500000-00501000 r--p 00300000 08:01 42                         /opt/a b
Anonymous:             4 kB
00501000-00502000 rw-p 00301000 08:01 42                         /opt/a b
Anonymous:             0 kB
00600000-00601000 r-xp 00000000 08:01 43                         /opt/other
Anonymous:             0 kB
00700000-00701000 rw-p 00000000 00:00 0 
Anonymous:             0 kB
`;

test("cleanMappings: code and constants of the file, not relocated or writable ones, not other files'", () => {
	expect(cleanMappings(SMAPS, "/opt/a b")).toEqual([
		{ start: 0x200000n, length: 0x100000n },
		{ start: 0x300000n, length: 0x200000n },
	]);
});

test("dropExecutablePages: less is resident, and the process works on", () => {
	const before = fileKb();
	dropExecutablePages();
	expect(fileKb()).toBeLessThan(before - 5000);
	expect(JSON.parse(JSON.stringify({ a: [1, "x"] }))).toEqual({ a: [1, "x"] });
});

function fileKb(): number {
	return Number(/^RssFile:\s+(\d+)/m.exec(readFileSync("/proc/self/status", "utf8"))?.[1]);
}
