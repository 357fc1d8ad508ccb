import { expect, test } from "bun:test";
import { deniedPacketOf } from "./denied-log.ts";
import { countsOf, parseListing } from "./policy-listing.ts";
import { NO_POLICIES, type PolicyModel } from "./policy-model.ts";
import { type KernelTable, PolicyTables } from "./policy-tables.ts";

const rules = { action: "allow", direction: "egress", protocols: [], ports: [] } as const;
const model: PolicyModel = {
	policies: [
		{ name: "a", denies: ["egress"], rules: [{ index: 0, ...rules, peers: [{ kind: "name", set: "name.x" }] }] },
	],
	groups: [],
	sandboxes: [{ addresses: ["10.0.0.2", "fd00::2"], links: ["v"] }],
	peers: new Map(),
	bridges: [],
};
const learned = { set: "name.x", local: "10.0.0.2", remote: "192.0.2.1", seconds: 60 };
const LISTING = `table inet foredeck-t {
	counter rule.a.0 {
		packets 3 bytes 180
	}

	counter default.a.egress {
		packets 1 bytes 60
	}

	set name.x {
		type ipv4_addr . ipv4_addr
		flags timeout
		elements = { 10.0.0.2 . 192.0.2.1 timeout 1m expires 41s500ms,
			     10.0.0.2 . 192.0.2.2 timeout 1m expires 2m1s }
	}

	set name.x.6 {
		type ipv6_addr . ipv6_addr
		flags timeout
		elements = { fd00::2 . 2001:db8::1 timeout 1m expires 59s }
	}
}
`;

function saying(listing = () => ""): KernelTable {
	return { listing, counters: () => parseListing(listing()).counters };
}

test("a listing of nft is read for counters and for what was learned, with the time that is left", () => {
	const { counters, names } = parseListing(LISTING);
	expect(countsOf({ counters })).toEqual([
		{ policy: "a", rule: 0, packets: 3, bytes: 180 },
		{ policy: "a", rule: "egress", packets: 1, bytes: 60 },
	]);
	expect(names).toEqual([
		{ set: "name.x", local: "10.0.0.2", remote: "192.0.2.1", seconds: 41.5 },
		{ set: "name.x", local: "10.0.0.2", remote: "192.0.2.2", seconds: 121 },
		{ set: "name.x", local: "fd00::2", remote: "2001:db8::1", seconds: 59 },
	]);
});

test("what is known long enough is not learned again; it ends, and goes with its sandbox", () => {
	let now = 0;
	const tables = new PolicyTables("t", saying(), () => now);
	tables.stands(model);
	expect(tables.learn([learned])).toContain("timeout 60s");
	expect(tables.learn([learned])).toBe("");
	now = 30_000;
	expect(tables.learn([{ ...learned, seconds: 20 }])).toBe("");
	expect(tables.learn([learned])).toContain("timeout 60s");
	expect(tables.whole()).toContain("10.0.0.2 . 192.0.2.1 timeout 60s");
	const gone = { ...model, sandboxes: [] };
	expect(tables.change(gone)).toContain("delete element inet foredeck-t name.x { 10.0.0.2 . 192.0.2.1 }");
	tables.stands(gone);
	expect(tables.names()).toEqual([]);
	tables.stands(model);
	tables.learn([learned]);
	now = 100_000;
	expect(tables.names()).toEqual([]);
});

test("one that learns without end forgets what would end first", () => {
	let now = 0;
	const tables = new PolicyTables("t", saying(), () => now++);
	tables.stands(model);
	for (let i = 0; i < 1030; i++) {
		tables.learn([{ ...learned, remote: `192.0.${i >> 8}.${i & 255}`, seconds: 60 + i }]);
	}
	const kept = tables.names();
	expect(kept.length).toBe(1024);
	expect(kept.some(({ remote }) => remote === "192.0.0.0")).toBe(false);
});

test("an earlier daemon's counters and names are taken over, those of a policy that changes begin anew", () => {
	const tables = new PolicyTables(
		"t",
		saying(() => LISTING),
		() => 0,
	);
	tables.takeOver();
	const text = tables.whole(model);
	expect(text).toContain("packets 3 bytes 180");
	expect(text).toContain("10.0.0.2 . 192.0.2.1 timeout 42s");
	expect(text).toContain("fd00::2 . 2001:db8::1 timeout 59s");
	tables.stands(model);
	const changed = { ...model, policies: model.policies.map((one) => ({ ...one, denies: [] })) };
	expect(tables.change(changed)).toContain("counter rule.a/1.0 {\n\t\tpackets 0 bytes 0");
	expect(tables.whole(changed)).not.toContain("packets 3");
	expect(tables.whole(NO_POLICIES)).toBe("");
});

const many: PolicyModel = {
	policies: Array.from({ length: 60 }, (_, at) => ({
		name: `p${at}`,
		denies: ["ingress"],
		rules: [{ index: 0, ...rules, peers: [{ kind: "sandboxes", set: `peer.p${at}.0.0` }] }],
	})),
	groups: Array.from({ length: 60 }, (_, at) => ({
		...{ name: `group.${at}.egress`, direction: "egress", policies: [`p${at}`] },
	})),
	sandboxes: [{ addresses: ["10.0.0.2"], links: ["v"], egress: "group.0.egress" }],
	peers: new Map(Array.from({ length: 60 }, (_, at) => [`peer.p${at}.0.0`, ["10.0.0.9"]])),
	bridges: [],
};

function run(tables: PolicyTables, ask: () => string | undefined): string[] {
	const texts: string[] = [];
	for (let text = ask(); text !== undefined; text = ask()) {
		texts.push(text);
		tables.stands(tables.current);
	}
	return texts;
}

test("what many policies need comes in slices that lead nowhere yet; what then takes effect is short", () => {
	const tables = new PolicyTables("t", saying());
	const slices = run(tables, () => tables.prepare(many));
	expect(slices.length).toBeGreaterThan(5);
	for (const text of slices) {
		expect(text.match(/chain deny\.p/g)?.length ?? 0).toBeLessThan(20);
		expect(text).not.toContain("10.0.0.2");
	}
	const last = tables.change(many) ?? "";
	expect(last).toContain("add element inet foredeck-t policed_egress { 10.0.0.2 : goto group.0.egress }");
	expect((slices.join("") + last).match(/chain deny\.p\d+\.egress/g)?.length).toBe(60);
	tables.stands(many);
	expect(tables.change(many)).toBe("");
	expect(tables.sweep()).toBeUndefined();
});

test("policies that change stand beside what they were; that goes in slices, and their counts begin anew", () => {
	let listing = "";
	const tables = new PolicyTables(
		"t",
		saying(() => listing),
	);
	tables.whole(many);
	tables.stands(many);
	const next = { ...many, policies: many.policies.map((one) => ({ ...one, denies: [] })) };
	run(tables, () => tables.prepare(next));
	listing = "counter rule.p0.0 {\n packets 1 bytes 1\n}\ncounter rule.p0/1.0 {\n packets 2 bytes 2\n}\n";
	expect(tables.counts()).toEqual([{ policy: "p0", rule: 0, packets: 1, bytes: 1 }]);
	const text = tables.change(next) ?? "";
	const [, group = ""] = /policed_egress \{ 10\.0\.0\.2 : goto (group\.0\.egress\/\d+) \}/.exec(text) ?? [];
	tables.stands(next);
	const gone = text + run(tables, () => tables.sweep()).join("");
	for (const { name } of many.policies) {
		expect(gone).toContain(`delete chain inet foredeck-t deny.${name}.egress\n`);
		expect(gone).toContain(`delete set inet foredeck-t peer.${name}.0.0\n`);
		expect(gone).toContain(`delete counter inet foredeck-t rule.${name}.0\n`);
	}
	expect(group).not.toBe("");
	expect(gone).not.toContain(`delete chain inet foredeck-t ${group}\n`);
	const [counter = ""] = /rule\.p0\/\d+\.0/.exec(tables.change(many) ?? "") ?? [];
	expect(counter).not.toBe("");
});

test("while many are prepared, sandboxes that come and go sweep nothing of it away; a table written whole needs it again", () => {
	const tables = new PolicyTables("t", saying());
	const [first] = many.policies;
	if (!first) throw new Error("no policy");
	const one = {
		...many,
		policies: [first],
		groups: [],
		sandboxes: [],
		peers: new Map([["peer.p0.0.0", ["10.0.0.9"]]]),
	};
	tables.whole(one);
	tables.stands(one);
	tables.prepare(many);
	tables.stands(one);
	const left = { ...one, peers: new Map([["peer.p0.0.0", []]]) };
	expect(tables.change(left)).toBe("delete element inet foredeck-t peer.p0.0.0 { 10.0.0.9 }\n");
	tables.stands(left);
	expect(tables.sweep()).toBeUndefined();
	tables.whole(left);
	tables.stands(left);
	expect(tables.prepare(many)).toContain("chain deny.p1.egress");
});

test("a logged packet is read with its rule and its ends; fragments and others' packets as far as they go", () => {
	const payload = new Uint8Array(64);
	payload.set([0x45, 0, 0, 60, 0, 0, 0x40, 0, 64, 6, 0, 0, 10, 0, 0, 2, 192, 0, 2, 1, 0x80, 0, 0x01, 0xbb]);
	expect(deniedPacketOf({ prefix: "lock 2 egress", payload })).toEqual({
		policy: "lock",
		rule: 2,
		direction: "egress",
		source: "10.0.0.2",
		destination: "192.0.2.1",
		protocol: "tcp",
		port: 443,
	});
	const fragment = payload.slice();
	fragment[7] = 9;
	expect(deniedPacketOf({ prefix: "lock egress egress", payload: fragment })).toMatchObject({ rule: "egress" });
	expect(deniedPacketOf({ prefix: "lock egress egress", payload: fragment })?.port).toBeUndefined();
	expect(deniedPacketOf({ prefix: "somebody's", payload })).toBeUndefined();
	expect(deniedPacketOf({ prefix: "lock 2 egress", payload: payload.subarray(0, 10) })).toBeUndefined();
});

test("a logged packet of IPv6 is read behind its extensions; a fragment that is not the first has no port", () => {
	const payload = new Uint8Array(128);
	payload.set([0x60, 0, 0, 0, 0, 60, 58, 64]);
	payload.set([0xfd, 0], 8);
	payload[23] = 2;
	payload.set([0x20, 0x01, 0x0d, 0xb8], 24);
	payload[39] = 1;
	const ends = { policy: "lock", rule: 2, direction: "egress", source: "fd00::2", destination: "2001:db8::1" } as const;
	const heard = () => deniedPacketOf({ prefix: "lock 2 egress", payload });
	expect(heard()).toEqual({ ...ends, protocol: "icmp" });
	payload[6] = 6;
	payload.set([0x80, 0, 0x01, 0xbb], 40);
	expect(heard()).toEqual({ ...ends, protocol: "tcp", port: 443 });
	// Hop-by-hop options of 16 bytes, a fragment header, then UDP.
	payload[6] = 0;
	payload.set([44, 1], 40);
	payload.set([17, 0, 0, 1], 56);
	payload.set([0x80, 0, 0, 53], 64);
	expect(heard()).toEqual({ ...ends, protocol: "udp", port: 53 });
	payload[59] = 9;
	expect(heard()).toEqual({ ...ends, protocol: "udp" });
	expect(deniedPacketOf({ prefix: "lock 2 egress", payload: payload.subarray(0, 39) })).toBeUndefined();
});
