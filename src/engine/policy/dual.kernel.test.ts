import { afterAll, afterEach, beforeAll, expect, test } from "bun:test";
import { parseIpv6 } from "../../shared/ip.ts";
import { addAddress6 } from "../../sys/linux/address.ts";
import { RouteSocket } from "../../sys/linux/netlink.ts";
import { withNetns, writeSysctl } from "../../sys/linux/netns.ts";
import { Nftables } from "../../sys/linux/nftables.ts";
import { ask, HOST, OUTSIDE } from "../../sys/linux/testing/outside-host.ts";
import { type Guest, HOST6, OUTSIDE6, PolicyHost, tcpPort } from "../../testing/policy-host.ts";
import { pings, resolve, sendFrom, serveBoth, serveNames, serveUdp } from "../../testing/traffic.ts";

/** Policies on a network with both families: what holds of one holds of the other. */
const [API, API6, OTHER6] = ["198.51.100.3", "2001:db8:1::3", "2001:db8:1::5"];
const servers: Disposable[] = [];
let host: PolicyHost;

beforeAll(async () => {
	host = new PolicyHost([API, API6, OTHER6]);
	servers.push(serveBoth(host.outside, 80, "outside"), serveBoth(host.outside, 81, "outside"));
	servers.push(
		await serveNames(host.outside, {
			"api.example.org": { address: API, address6: API6, ttl: 1 },
			"slow.example.org": { address: API, address6: API6, ttl: 300 },
		}),
	);
	await host.start();
	await host.createNetwork("dual", { enableIpv6: true });
});

afterAll(async () => {
	for (const server of servers) server[Symbol.dispose]();
	await host.close();
});

afterEach(async () => {
	await host.clear();
	expect(host.tables()).toEqual(["inet foredeck-t", "bridge foredeck-t"]);
});

/** The same question over both families, which must have one answer. */
async function askBoth(from: Guest, to: Guest, port: number): Promise<string> {
	const answers = await Promise.all([to.address, to.address6].map((one) => ask(from.path, one, port)));
	const [four, six] = answers.map((text) => text.split(";")[0]);
	return four === six ? `${four}` : `IPv4 ${four}, IPv6 ${six}`;
}

test("ingress by default of deny: peers alone get in, over either family, with bridge-nf off; neighbours are found all the same", async () => {
	writeSysctl("net/bridge/bridge-nf-call-ip6tables", "0");
	host.apply({
		name: "db",
		select: { names: ["db"] },
		default: { ingress: "deny" },
		rules: [{ action: "allow", from: [{ sandboxes: { labels: { role: "app" } } }], ports: 80 }],
	});
	const [db, app, other] = [
		await host.on("db", "dual"),
		await host.on("app", "dual", { role: "app" }),
		await host.on("other", "dual"),
	];
	using _one = serveBoth(db.path, 80, "db");
	using _two = serveBoth(db.path, 82, "db");
	using _app = serveBoth(app.path, 80, "app");
	expect(await askBoth(app, db, 80)).toBe("db");
	expect(await askBoth(app, db, 82)).toBe("closed");
	expect(await askBoth(other, db, 80)).toBe("closed");
	expect(pings(other.path, db.address6)).toBe(false);
	for (const address of [db.address, db.address6]) expect(await ask(undefined, address, 80)).toBe("closed");
	// Its own way out is open.
	expect(await askBoth(db, app, 80)).toBe("app");
	expect(pings(db.path, app.address6)).toBe(true);
	expect(await ask(db.path, OUTSIDE6, 80)).toBe(`outside;${HOST6}`);
	const log = host.policies
		.denied()
		.map(({ sandbox, peer, port, protocol }) => `${sandbox} ${peer}:${port}/${protocol}`);
	expect(log).toContain("db other:80/tcp");
	expect(log).toContain("db other:undefined/icmp");
	for (const from of ["app", "other"]) {
		expect(host.policies.explain(from, "db:80").allowed).toBe(from === "app");
		expect(host.policies.explain(from, `[${db.address6}]:80`).allowed).toBe(from === "app");
	}
});

test("a bridge that others delete is policed when it is there again", async () => {
	for (const name of ["iptables", "ip6tables"]) writeSysctl(`net/bridge/bridge-nf-call-${name}`, "0");
	host.apply({ name: "db", select: { names: ["db"] }, default: { ingress: "deny" } });
	const [db, other] = [await host.on("db", "dual"), await host.on("other", "dual")];
	using _db = serveBoth(db.path, 80, "db");
	using _other = serveBoth(other.path, 80, "other");
	const bridge = host.sandboxes.networks().find(({ name }) => name === "dual")?.bridge ?? "";
	Bun.spawnSync(["ip", "link", "delete", bridge]);
	let reached = "";
	for (let tries = 0; tries < 10 && reached !== "other"; tries++) {
		await Bun.sleep(200);
		reached = await askBoth(db, other, 80);
	}
	expect(reached).toBe("other");
	expect(await askBoth(other, db, 80)).toBe("closed");
}, 15_000);

test("what has no address of the sandbox's does not get in: link-local, multicast, broadcast", async () => {
	host.apply({ name: "shut", select: { names: ["db"] }, default: { ingress: "deny" } });
	const [db, evil, free] = [await host.on("db", "dual"), await host.on("evil", "dual"), await host.on("free", "dual")];
	using shut = await serveUdp(db.path, 99);
	using open = await serveUdp(free.path, 99);
	const linkLocal = (guest: Guest) => `${/inet6 (fe80::\S+)\//.exec(linkOf(guest))?.[1]}%eth0`;
	for (const target of [linkLocal(db), linkLocal(free), "ff02::1%eth0"]) {
		await sendFrom(evil.path, "::", target, 99);
	}
	await Bun.sleep(50);
	expect(shut.heard()).toEqual([]);
	// The same does reach one without a policy, or the line above would say nothing.
	expect(open.heard().length).toBe(2);
	expect(pings(evil.path, linkLocal(free))).toBe(true);
	expect(pings(evil.path, linkLocal(db))).toBe(false);
});

test("egress by default of deny: networks of either family, and names with both", async () => {
	host.apply({
		name: "lock",
		select: { names: ["web"] },
		default: { egress: "deny" },
		rules: [
			{ action: "allow", to: ["api.example.org:80", "[2001:db8:1::2]:80"] },
			{ action: "allow", to: [{ cidr: "2001:db8:1::/64", except: [API6, OTHER6, OUTSIDE6] }], protocols: ["icmp"] },
		],
	});
	const [web, free] = [await host.on("web", "dual"), await host.on("free", "dual")];
	const gets = async (address: string, port: number) => (await ask(web.path, address, port)) !== "closed";
	expect([await gets(OUTSIDE6, 80), await gets(OUTSIDE6, 81), await gets(OUTSIDE, 80)]).toEqual([true, false, false]);
	expect([pings(web.path, HOST6), pings(web.path, OUTSIDE6), pings(free.path, OUTSIDE6)]).toEqual([true, false, true]);
	expect([await gets(API6, 80), await gets(API, 80)]).toEqual([false, false]);
	expect(await resolve(web.path, "api.example.org", "127.0.0.11", "AAAA")).toEqual([API6]);
	expect([await gets(API6, 80), await gets(API, 80)]).toEqual([true, false]);
	expect(await resolve(web.path, "api.example.org")).toEqual([API]);
	expect([await gets(API6, 81), await gets(API, 80)]).toEqual([false, true]);
	// The record's time is over.
	await Bun.sleep(1500);
	expect([await gets(API6, 80), await gets(API, 80)]).toEqual([false, false]);
	expect(await ask(free.path, OTHER6, 80)).toBe(`outside;${HOST6}`);
	expect(host.policies.explain("web", "[2001:db8:1::2]:80").allowed).toBe(true);
	expect(host.policies.explain("web", `${OTHER6}/icmp`).allowed).toBe(false);
	expect(host.policies.explain("web", `${HOST6}/icmp`).allowed).toBe(true);
}, 15_000);

test("nobody sends with another's IPv6 address, nor says that it is the neighbour with it", async () => {
	host.apply({
		name: "db",
		select: { names: ["db"] },
		default: { ingress: "deny" },
		rules: [{ action: "allow", from: [{ sandboxes: { names: ["app"] } }] }],
	});
	const [db, app, evil] = [await host.on("db", "dual"), await host.on("app", "dual"), await host.on("evil", "dual")];
	using server = await serveUdp(db.path, 99);
	await sendFrom(app.path, app.address6, db.address6, 99);
	await Bun.sleep(50);
	expect(server.heard()).toEqual([app.address6]);
	withNetns(evil.path, () => {
		using inside = new RouteSocket();
		inside.request(addAddress6(2, parseIpv6(app.address6) ?? 0n, 128));
	});
	await sendFrom(evil.path, app.address6, db.address6, 99);
	await Bun.sleep(50);
	expect(server.heard()).toEqual([app.address6]);
	// db looks for app again, and hears of evil nothing.
	Bun.spawnSync(["nsenter", `--net=${db.path}`, "ip", "neigh", "flush", "all"]);
	expect(pings(db.path, app.address6)).toBe(true);
	const neighbour = Bun.spawnSync(["nsenter", `--net=${db.path}`, "ip", "neigh", "show", app.address6]);
	expect(neighbour.stdout.toString()).toContain(macOf(app));
});

test("published ports of both families: ingress sees who comes; host and counters too", async () => {
	host.apply({
		name: "front",
		select: { names: ["web"] },
		default: { ingress: "deny" },
		rules: [{ action: "allow", from: ["2001:db8:1::/64", "198.51.100.0/24"], ports: 80 }],
	});
	const web = await host.on("web", "dual", {}, [tcpPort(80, 8080), tcpPort(81, 8081)]);
	using _one = serveBoth(web.path, 80, "web");
	using _two = serveBoth(web.path, 81, "web");
	expect(await ask(host.outside, HOST6, 8080)).toStartWith("web;2001:db8:1::");
	expect(await ask(host.outside, HOST, 8080)).toBe(`web;${OUTSIDE}`);
	for (const address of [HOST6, HOST]) expect(await ask(host.outside, address, 8081)).toBe("closed");
	const counts = host.policies.inspect("front").counts;
	expect(counts.find(({ rule }) => rule === 0)?.packets).toBe(2);
	expect(counts.find(({ rule }) => rule === "ingress")?.packets).toBeGreaterThanOrEqual(2);
});

test("by IPv6 to a container without it, policies do not see who comes: not the host, nobody who is allowed, anybody who is denied", async () => {
	await host.createNetwork("four");
	const web = await host.on("web", "four", {}, [tcpPort(80, 8080)]);
	using _web = serveBoth(web.path, 80, "web");
	const gets = async (from: string | undefined, address: string) =>
		(await ask(from, address, 8080)) !== "closed" || (await ask(from, address, 8080)) !== "closed";
	const here = () => Promise.all([gets(host.outside, HOST6), gets(undefined, "::1"), gets(host.outside, HOST)]);
	const front = (rules: object[], ingress = "deny") =>
		host.apply({ name: "front", select: { names: ["web"] }, default: { ingress }, rules });
	expect(await here()).toEqual([true, true, true]);
	front([{ action: "allow", from: ["host"] }]);
	expect(await here()).toEqual([false, true, false]);
	front([{ action: "allow", from: ["2001:db8:1::/64", "198.51.100.0/24"] }]);
	expect(await here()).toEqual([false, false, true]);
	front([{ action: "allow", direction: "ingress", ports: 80 }]);
	expect(await here()).toEqual([true, true, true]);
	front([{ action: "deny", from: ["2001:db8:99::/64"] }], "allow");
	expect(await here()).toEqual([false, true, true]);
}, 30_000);

test("what was learned of IPv6 outlives a restart and a flush, and goes with its sandbox", async () => {
	host.apply({
		name: "lock",
		select: { names: ["web"] },
		default: { egress: "deny" },
		rules: [{ action: "allow", to: ["slow.example.org"] }],
	});
	const web = await host.on("web", "dual");
	expect(await resolve(web.path, "slow.example.org", "127.0.0.11", "AAAA")).toEqual([API6]);
	const holds = async () => {
		expect(await ask(web.path, API6, 80)).toBe(`outside;${HOST6}`);
		expect(await ask(web.path, OTHER6, 80)).toBe("closed");
	};
	await holds();
	await host.stop();
	await host.start();
	await holds();
	new Nftables().run("flush ruleset");
	await Bun.sleep(250);
	await holds();
	await host.leave("web");
	const heir = await host.on("web", "dual", {}, [], { address6: web.address6 });
	expect(heir.address6).toBe(web.address6);
	expect(await ask(heir.path, API6, 80)).toBe("closed");
});

function linkOf({ path }: Guest): string {
	return Bun.spawnSync(["nsenter", `--net=${path}`, "ip", "addr", "show", "dev", "eth0"]).stdout.toString();
}

function macOf(guest: Guest): string {
	return /link\/ether (\S+)/.exec(linkOf(guest))?.[1] ?? "none";
}
