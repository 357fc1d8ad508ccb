import { afterAll, afterEach, beforeAll, expect, test } from "bun:test";
import { readdirSync } from "node:fs";
import { parseIpv4 } from "../../shared/ip.ts";
import { addAddress } from "../../sys/linux/address.ts";
import { RouteSocket } from "../../sys/linux/netlink.ts";
import { withNetns, writeSysctl } from "../../sys/linux/netns.ts";
import { Nftables } from "../../sys/linux/nftables.ts";
import { ask, askUdp, HOST, OUTSIDE, serveTcp } from "../../sys/linux/testing/outside-host.ts";
import { PolicyHost, tcpPort as port } from "../../testing/policy-host.ts";
import { resolve, sendFrom, serveEcho, serveNames, serveUdp, talk } from "../../testing/traffic.ts";
import { parsePolicies } from "./parse.ts";

/** The internet has servers at three addresses, and a name server. */
const [API, WILD, OTHER] = ["198.51.100.3", "198.51.100.4", "198.51.100.5"];
const servers: Disposable[] = [];
let host: PolicyHost;

beforeAll(async () => {
	host = new PolicyHost([API, WILD, OTHER]);
	const { outside } = host;
	servers.push(serveTcp(outside, 80, "outside"), serveTcp(outside, 81, "outside"), await serveNames(outside, ZONE));
	await host.start();
	for (const name of ["blue", "red"]) await host.createNetwork(name);
});

afterAll(async () => {
	for (const server of servers) server[Symbol.dispose]();
	await host.close();
});

afterEach(async () => {
	await host.clear();
	expect(host.tables()).toEqual(["inet foredeck-t", "bridge foredeck-t"]);
});

test("by default of deny only what a rule allows gets out, by name what was answered for it, and CNAMEs lead there", async () => {
	host.apply({
		name: "lock",
		select: { names: ["web"] },
		default: { egress: "deny" },
		rules: [{ action: "allow", to: ["api.example.org:80", "*.wild.example.org"] }],
	});
	const [web, free] = [await host.on("web", "blue"), await host.on("free", "blue")];
	// Nobody has asked for the name.
	expect(await ask(web.path, API, 80)).toBe("closed");
	expect(await resolve(web.path, "API.example.org")).toEqual([API]);
	expect(await ask(web.path, API, 80)).toBe(`outside;${HOST}`);
	expect(await ask(web.path, API, 81)).toBe("closed");
	// By an alias, and by a name below another.
	expect(await resolve(web.path, "a.b.wild.example.org")).toEqual([WILD]);
	expect(await ask(web.path, WILD, 81)).toBe(`outside;${HOST}`);
	// Not the name itself, nor one that others answer for.
	expect(await resolve(web.path, "wild.example.org")).toBe("NXDOMAIN");
	expect(await resolve(web.path, "other.example.org")).toBe("NXDOMAIN");
	expect(await resolve(web.path, "other.example.org", OUTSIDE)).toBeUndefined();
	expect(await ask(web.path, OTHER, 80)).toBe("closed");
	// What one has learned, another has not; what no policy is about is open.
	expect(await resolve(free.path, "other.example.org")).toEqual([OTHER]);
	expect(await ask(free.path, OTHER, 80)).toBe(`outside;${HOST}`);
	const log = host.policies
		.denied()
		.map(({ sandbox, peer, port, protocol }) => `${sandbox} ${peer}:${port}/${protocol}`);
	expect(log).toContain(`web ${API}:81/tcp`);
	expect(log).toContain(`web ${OTHER}:80/tcp`);
	expect(log).toContain("web other.example.org:53/dns");
	const counts = host.policies.inspect("lock").counts;
	// A connection that was tried too early sends its SYN again: allowed by then, it is counted too.
	expect(counts.find(({ rule }) => rule === 0)?.packets).toBeGreaterThanOrEqual(2);
	expect(counts.find(({ rule }) => rule === "egress")?.packets).toBeGreaterThanOrEqual(4);
});

test("an address is allowed for its time to live; connections that began go on after it", async () => {
	host.apply({
		name: "lock",
		select: { all: true },
		default: { egress: "deny" },
		rules: [{ action: "allow", to: ["api.example.org"] }],
	});
	const web = await host.on("web", "blue");
	using echo = serveEcho(host.outside, 90);
	expect(await resolve(web.path, "api.example.org")).toEqual([API]);
	const open = await talk(web.path, API, 90);
	expect(await open.say("one")).toBe("one");
	await Bun.sleep(1500);
	expect(await ask(web.path, API, 80)).toBe("closed");
	expect(await open.say("two")).toBe("two");
	open.close();
	expect(await resolve(web.path, "api.example.org")).toEqual([API]);
	expect(await ask(web.path, API, 80)).toBe(`outside;${HOST}`);
	expect(echo).toBeDefined();
});

test("inside one network, with bridge-nf off: peers by label, both ends must allow, deny wins whatever the order", async () => {
	writeSysctl("net/bridge/bridge-nf-call-iptables", "0");
	host.apply(
		{
			name: "db",
			select: { names: ["db"] },
			default: { ingress: "deny" },
			rules: [{ action: "allow", from: [{ sandboxes: { labels: { role: "app" } } }], ports: ["80-81"] }],
		},
		{
			name: "never",
			select: { names: ["db"] },
			rules: [{ action: "deny", from: [{ sandboxes: { names: ["bad*"] } }] }],
		},
	);
	const db = await host.on("db", "blue");
	const [app, other, bad] = [
		await host.on("app", "blue", { role: "app" }),
		await host.on("other", "blue"),
		await host.on("bad1", "blue", { role: "app" }),
	];
	using _one = serveTcp(db.path, 80, "db");
	using _two = serveTcp(db.path, 82, "db");
	using _app = serveTcp(app.path, 80, "app");
	expect(await ask(app.path, db.address, 80)).toStartWith("db;");
	expect(await ask(app.path, db.address, 82)).toBe("closed");
	expect(await ask(other.path, db.address, 80)).toBe("closed");
	expect(await ask(bad.path, db.address, 80)).toBe("closed");
	expect(await ask(undefined, db.address, 80)).toBe("closed");
	// Its own way out is open, and answers come back.
	expect(await ask(db.path, app.address, 80)).toStartWith("app;");
	expect(await ask(other.path, app.address, 80)).toStartWith("app;");
	expect(host.policies.explain("bad1", "db:80").decisions[1]).toMatchObject({
		action: "deny",
		policy: "never",
		rule: 0,
	});
	expect(host.policies.explain("app", "db:80").allowed).toBe(true);
	// One comes that is allowed, one that was goes and another gets its address.
	const late = await host.on("late", "blue", { role: "app" });
	expect(await ask(late.path, db.address, 80)).toStartWith("db;");
	await host.leave("late");
	const heir = await host.on("heir", "blue", {}, [], { address: late.address });
	expect(heir.address).toBe(late.address);
	expect(await ask(heir.path, db.address, 80)).toBe("closed");
});

test("published ports: ingress sees who comes from outside", async () => {
	host.apply({
		name: "front",
		select: { networks: ["red"] },
		default: { ingress: "deny" },
		rules: [
			{ action: "allow", from: [{ cidr: "198.51.100.0/24", except: [OTHER] }], ports: 80 },
			{ action: "allow", from: ["host"], ports: 80 },
		],
	});
	const web = await host.on("web", "red", {}, [port(80, 8080), port(81, 8081)]);
	using _one = serveTcp(web.path, 80, "web");
	using _two = serveTcp(web.path, 81, "web");
	expect(await ask(host.outside, HOST, 8080)).toBe(`web;${OUTSIDE}`);
	expect(await ask(host.outside, HOST, 8081)).toBe("closed");
	expect(await ask(undefined, "127.0.0.1", 8080)).toStartWith("web;");
	expect(await ask(undefined, "127.0.0.1", 8081)).toBe("closed");
});

test("nobody sends with another's address, and one with a policy not with any other", async () => {
	host.apply({
		name: "db",
		select: { names: ["db"] },
		default: { ingress: "deny" },
		rules: [{ action: "allow", from: [{ sandboxes: { names: ["app"] } }], protocols: ["udp"] }],
	});
	const [db, app, evil] = [await host.on("db", "blue"), await host.on("app", "blue"), await host.on("evil", "blue")];
	using server = await serveUdp(db.path, 99);
	expect(await askUdp(app.path, db.address, 99)).toBe("hello");
	expect(server.heard()).toEqual([app.address]);
	withNetns(evil.path, () => {
		using inside = new RouteSocket();
		inside.request(addAddress(2, parseIpv4(app.address) ?? 0, 32));
	});
	await sendFrom(evil.path, app.address, db.address, 99);
	await Bun.sleep(50);
	expect(server.heard()).toEqual([app.address]);
});

test("a dry run changes nothing; a policy named by a label holds from the start, one that is not there refuses it", async () => {
	const before = new Nftables().run("list ruleset");
	expect(host.policies.apply(parsePolicies({ name: "later", default: { egress: "deny" } }), { dryRun: true })).toEqual([
		{ name: "later", change: "created", sandboxes: [], unenforced: [] },
	]);
	expect(new Nftables().run("list ruleset")).toBe(before);
	expect(host.policies.list()).toEqual([]);
	await expect(host.on("web", "blue", { "foredeck.policy": "later" })).rejects.toThrow(
		'names policy "later", which does not exist',
	);
	host.joined.delete("web");
	host.apply({ name: "later", default: { egress: "deny" } });
	const web = await host.on("web", "blue", { "foredeck.policy": "later" });
	expect(await ask(web.path, OUTSIDE, 80)).toBe("closed");
	expect(() => host.policies.remove("later")).toThrow("named by the label foredeck.policy of web");
});

test("policies, what was learned and what was counted outlive a restart; a network more changes none of it", async () => {
	host.apply({
		name: "lock",
		select: { names: ["web"] },
		default: { egress: "deny" },
		rules: [{ action: "allow", to: ["slow.example.org"] }],
	});
	const web = await host.on("web", "blue");
	expect(await resolve(web.path, "slow.example.org")).toEqual([API]);
	expect(await ask(web.path, API, 80)).toBe(`outside;${HOST}`);
	await host.createNetwork("green");
	const check = async (allowed: number) => {
		expect(await ask(web.path, API, 80)).toBe(`outside;${HOST}`);
		expect(await ask(web.path, OTHER, 80)).toBe("closed");
		expect(host.policies.inspect("lock").counts.find(({ rule }) => rule === 0)?.packets).toBe(allowed);
	};
	await check(2);
	await host.stop();
	await host.start();
	await check(3);
	// Put back whole when others flush it.
	new Nftables().run("flush ruleset");
	await Bun.sleep(250);
	expect(await ask(web.path, API, 80)).toBe(`outside;${HOST}`);
	expect(await ask(web.path, OTHER, 80)).toBe("closed");
});

const ZONE = {
	"api.example.org": { address: API, ttl: 1 },
	"slow.example.org": { address: API, ttl: 300 },
	"a.b.wild.example.org": { address: WILD, ttl: 60, alias: "cdn.example.net" },
	"wild.example.org": { address: WILD, ttl: 60 },
	"other.example.org": { address: OTHER, ttl: 60 },
};

test("a running container that is connected to a network has its policies there before it has the interface", async () => {
	host.apply({ name: "lock", select: { names: ["web"] }, default: { egress: "deny" } });
	const [web, db] = [await host.on("web", "blue"), await host.on("db", "red")];
	const links = () => withNetns(web.path, () => readdirSync("/proc/thread-self/net/dev_snmp6").length);
	const before = links();
	const { policies } = host;
	const changed = policies.changed.bind(policies);
	const seen: { links: number; ruled: boolean }[] = [];
	policies.changed = () => {
		changed();
		const second = host.sandboxes.members().find(({ containerId }) => containerId === "web")?.endpoints[1];
		const rules = new Nftables().run("list map inet foredeck-t policed_egress");
		seen.push({ links: links(), ruled: second !== undefined && rules.includes(second.addresses[0] ?? "none") });
	};
	try {
		host.joined.set("web", await host.sandboxes.attach("web", { network: "red" }));
	} finally {
		policies.changed = changed;
	}
	expect(seen[0]).toEqual({ links: before, ruled: true });
	expect(links()).toBe(before + 1);
	await Bun.sleep(50);
	using _ = serveTcp(db.path, 80, "db");
	expect(await ask(web.path, db.address, 80)).toBe("closed");
	// Nothing is left of one that cannot be connected.
	const rules = new Nftables().run("list ruleset");
	await expect(host.sandboxes.attach("web", { network: "red", address: db.address })).rejects.toThrow(
		"Address already in use",
	);
	await Bun.sleep(300);
	expect(new Nftables().run("list ruleset")).toBe(rules);
});
