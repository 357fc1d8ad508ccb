import { afterAll, beforeAll, beforeEach, expect, test } from "bun:test";
import { check, libc } from "./libc.ts";
import { openNetns } from "./netns.ts";
import { Nftables } from "./nftables.ts";
import { TableWatch } from "./nftables-watch.ts";

/** A namespace of its own: nobody else's transactions. */
let home: number;
let nft: Nftables;
let told = 0;

beforeAll(() => {
	home = openNetns("/proc/thread-self/ns/net");
	check(libc.unshare(0x40000000), "unshare --net");
	nft = new Nftables();
});

beforeEach(() => {
	nft.run("flush ruleset\nadd table inet mine\nadd table inet others\n");
	told = 0;
});

afterAll(() => {
	nft[Symbol.dispose]();
	check(libc.setns(home, 0x40000000), "setns");
	libc.close(home);
});

function watch(): TableWatch {
	return new TableWatch("mine", () => void told++);
}

/** Long enough for the event loop to see what the kernel has queued. */
const settle = () => Bun.sleep(20);

test("tells of others' changes to the table, one per transaction, not of other tables", async () => {
	using _ = watch();
	nft.run("add chain inet others mine\nadd rule inet others mine accept\n");
	await settle();
	expect(told).toBe(0);
	nft.run("add chain inet mine a\nadd rule inet mine a accept\n");
	await settle();
	expect(told).toBe(1);
	nft.run("delete table inet mine\n");
	await settle();
	expect(told).toBe(2);
});

test("does not tell of our own changes, nor of one that failed", async () => {
	using own = watch();
	for (let i = 0; i < 20; i++) own.own(() => nft.run(`add chain inet mine c${i}\n`));
	expect(() => own.own(() => nft.run("delete chain inet mine absent\n"))).toThrow("No such file");
	await settle();
	expect(told).toBe(0);
});

test("tells of others' changes around our own", async () => {
	using own = watch();
	nft.run("add chain inet mine before\n");
	own.own(() => nft.run("add chain inet mine ours\n"));
	expect(told).toBe(1);
	own.own(() => {
		nft.run("add chain inet mine between\n");
		nft.run("add chain inet mine ours2\n");
	});
	expect(told).toBe(2);
});

test("more events than the kernel keeps for us count as a change, and the watch goes on", async () => {
	using own = watch();
	const elements = (count: number) => Array.from({ length: count }, (_, i) => i + 1).join(", ");
	const bulk = (name: string) => `add set inet others ${name} { type mark; elements = { ${elements(40_000)} }; }\n`;
	nft.run(bulk("big"));
	await settle();
	expect(told).toBeGreaterThan(0);
	told = 0;
	nft.run("add chain inet mine later\n");
	await settle();
	expect(told).toBe(1);
	own.own(() => nft.run(bulk("bigger")));
	await settle();
	expect(told).toBe(1);
	// Of our own the end is lost too: what others do elsewhere must not pass for it.
	own.own(() => nft.run(bulk("biggest").replace("inet others", "inet mine")));
	nft.run("add chain inet others quiet\n");
	await settle();
	expect(told).toBe(1);
});

test("tells nothing after it is disposed", async () => {
	watch()[Symbol.dispose]();
	await settle();
	nft.run("delete table inet mine\n");
	await settle();
	expect(told).toBe(0);
});
