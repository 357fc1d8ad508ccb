import { afterAll, afterEach, beforeAll, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { withNetns } from "../../sys/linux/netns.ts";
import { HOST, OUTSIDE } from "../../sys/linux/testing/outside-host.ts";
import { type Guest, HOST6, OUTSIDE6, PolicyHost, tcpPort } from "../../testing/policy-host.ts";
import { resolve, serveEcho, serveNames, talk, talkUdp } from "../../testing/traffic.ts";

/** Connections that run when a policy comes: those that it denies end, in both families; the others do not notice. */
const API = "198.51.100.3";
/** On the wire, and nobody has it. */
const NOBODY = "198.51.100.77";
const servers: Disposable[] = [];
let host: PolicyHost;

beforeAll(async () => {
	host = new PolicyHost([API]);
	servers.push(serveEcho(host.outside, 90), serveEcho(host.outside, 91));
	servers.push(await serveNames(host.outside, { "api.example.org": { address: API, ttl: 1 } }));
	await host.start();
	await host.createNetwork("dual", { enableIpv6: true });
});

afterAll(async () => {
	for (const server of servers) server[Symbol.dispose]();
	await host.close();
});

afterEach(() => host.clear());

const both = ({ address, address6 }: Guest) => [address, address6];

test("outwards, masqueraded: what is denied now is reset, what is allowed goes on", async () => {
	const web = await host.on("web", "dual");
	for (const [target, family] of [
		[OUTSIDE, "198.51.100.0/24"],
		[OUTSIDE6, "2001:db8:1::/64"],
	] as const) {
		const [denied, allowed] = [await talk(web.path, target, 90), await talk(web.path, target, 91)];
		for (const one of [denied, allowed]) expect(await one.say("before")).toBe("before");
		await host.applied({
			name: "cut",
			select: { names: ["web"] },
			rules: [{ action: "deny", to: [family], ports: 90 }],
		});
		expect(await denied.say("after")).toBe("closed");
		expect(await allowed.say("after")).toBe("after");
		// A policy that says the same again, or another sandbox's, disturbs nobody.
		await host.applied({
			name: "cut",
			select: { names: ["web"] },
			rules: [{ action: "deny", to: [family], ports: 90 }],
		});
		await host.applied({ name: "other", select: { names: ["nobody"] }, default: { egress: "deny" } });
		expect(await allowed.say("more")).toBe("more");
		for (const one of [denied, allowed]) one.close();
		for (const name of ["cut", "other"]) host.policies.remove(name);
	}
});

test("inside a bridge, from the first policy on: either end may speak next, and what was denied does not come back to life", async () => {
	const [db, web] = [await host.on("db", "dual"), await host.on("web", "dual")];
	using server = serveEcho(db.path, 90);
	using other = serveEcho(db.path, 91);
	for (const address of both(db)) {
		const [denied, pushed, allowed] = [
			await talk(web.path, address, 90),
			await talk(web.path, address, 90),
			await talk(web.path, address, 91),
		];
		for (const one of [denied, pushed, allowed]) expect(await one.say("before")).toBe("before");
		await host.applied({
			name: "db",
			select: { names: ["db"] },
			default: { ingress: "deny" },
			rules: [{ action: "allow", from: [{ sandboxes: { names: ["web"] } }], ports: 91 }],
		});
		// The server speaks first: its segment could pass for the beginning of a connection outwards, which is open.
		expect(await pushed.hear(() => server.push("news"))).toBe("silence");
		expect(await pushed.say("after")).toBe("closed");
		expect(await denied.say("after")).toBe("closed");
		expect(await allowed.say("after")).toBe("after");
		expect(await allowed.hear(() => other.push("news"))).toBe("news");
		// The connection is known by now: a rule that comes ends it too.
		await host.applied({ name: "none", select: { names: ["db"] }, rules: [{ action: "deny", direction: "ingress" }] });
		expect(await allowed.hear(() => other.push("more"))).toBe("silence");
		expect(await allowed.say("more")).toBe("closed");
		for (const one of [denied, pushed, allowed]) one.close();
		for (const name of ["db", "none"]) host.policies.remove(name);
	}
}, 30_000);

test("to a published port: by who comes, and by the container's own port", async () => {
	const web = await host.on("web", "dual", {}, [tcpPort(90, 8090), tcpPort(91, 8091)]);
	using _server = serveEcho(web.path, 90);
	using _other = serveEcho(web.path, 91);
	for (const address of [HOST, HOST6]) {
		const [denied, allowed] = [await talk(host.outside, address, 8090), await talk(host.outside, address, 8091)];
		for (const one of [denied, allowed]) expect(await one.say("before")).toBe("before");
		await host.applied({
			name: "front",
			select: { names: ["web"] },
			rules: [{ action: "deny", direction: "ingress", ports: 90 }],
		});
		expect(await denied.say("after")).toBe("closed");
		expect(await allowed.say("after")).toBe("after");
		for (const one of [denied, allowed]) one.close();
		host.policies.remove("front");
	}
});

test("from the host itself, and datagrams", async () => {
	const db = await host.on("db", "dual");
	using _server = serveEcho(db.path, 90);
	for (const address of both(db)) {
		const fromHost = await talk(undefined, address, 90);
		expect(await fromHost.say("before")).toBe("before");
		await host.applied({ name: "shut", select: { names: ["db"] }, rules: [{ action: "deny", from: ["host"] }] });
		expect(await fromHost.say("after")).toBe("closed");
		fromHost.close();
		host.policies.remove("shut");
	}
	const web = await host.on("web", "dual");
	for (const address of both(db)) {
		await using flow = await talkUdp(web.path, db.path, address, 99);
		expect(await flow.say("before")).toBe("before");
		await host.applied({
			name: "no-udp",
			select: { names: ["db"] },
			rules: [{ action: "deny", direction: "ingress", protocols: ["udp"] }],
		});
		expect(await flow.say("after")).toBe("silence");
		host.policies.remove("no-udp");
	}
});

test("a flow that a name allowed goes on after the record's time, also when another rule comes", async () => {
	const lock = (...more: object[]) => ({
		name: "lock",
		select: { names: ["web"] },
		default: { egress: "deny" },
		rules: [{ action: "allow", to: ["api.example.org"] }, ...more],
	});
	await host.applied(lock());
	const web = await host.on("web", "dual");
	expect(await resolve(web.path, "api.example.org")).toEqual([API]);
	const open = await talk(web.path, API, 90);
	expect(await open.say("one")).toBe("one");
	await Bun.sleep(1500);
	await host.applied(lock({ action: "allow", to: ["203.0.113.0/24"] }));
	expect(await open.say("two")).toBe("two");
	await host.applied(lock({ action: "deny", to: [`${API}:90`] }));
	expect(await open.say("three")).toBe("closed");
	open.close();
});

test("a container that stops to be a peer, or comes to be under a policy by its name, loses what it had", async () => {
	await host.applied({
		name: "db",
		select: { names: ["db"] },
		default: { ingress: "deny" },
		rules: [{ action: "allow", from: [{ sandboxes: { labels: { role: "app" } } }] }],
	});
	const [db, app] = [await host.on("db", "dual"), await host.on("app", "dual", { role: "app" })];
	using _server = serveEcho(db.path, 90);
	const open = await talk(app.path, db.address6, 90);
	expect(await open.say("before")).toBe("before");
	host.facts.set("app", { name: "app", labels: {} });
	host.policies.changed();
	await Bun.sleep(200);
	expect(await open.say("after")).toBe("closed");
	open.close();
});

test("an engine that was killed when a policy was stored and no more: the next one ends what it denies, and nothing without that", async () => {
	const web = await host.on("web", "dual");
	const connection = await talk(web.path, OUTSIDE, 90);
	expect(await connection.say("before")).toBe("before");
	await host.stop();
	host.leaveStored({ name: "cut", select: { names: ["web"] }, rules: [{ action: "deny", to: [`${OUTSIDE}:90`] }] });
	await host.start();
	await Bun.sleep(100);
	expect(await connection.say("after")).toBe("closed");
	connection.close();
	// Begun by a name whose time is over: a restart alone judges nobody anew.
	await host.applied({
		name: "cut",
		select: { names: ["web"] },
		default: { egress: "deny" },
		rules: [{ action: "allow", to: ["api.example.org:90"] }],
	});
	expect(await resolve(web.path, "api.example.org")).toEqual([API]);
	const named = await talk(web.path, API, 90);
	expect(await named.say("before")).toBe("before");
	await Bun.sleep(1500);
	await host.stop();
	await host.start();
	await Bun.sleep(100);
	expect(await named.say("after")).toBe("after");
	named.close();
});

test("twenty thousand flows are ended in slices: others are served meanwhile", async () => {
	const web = await host.on("web", "dual");
	const FLOWS = 20_000;
	const socket = await withNetns(web.path, () => Bun.udpSocket({ hostname: "0.0.0.0", socket: {} }));
	for (let port = 20_001; port <= 20_000 + FLOWS; port++) {
		socket.send("x", port, NOBODY);
		if (port % 500 === 0) await Bun.sleep(0);
	}
	socket.close();
	const flows = () => readFileSync("/proc/thread-self/net/nf_conntrack", "utf8").split(`dst=${NOBODY}`).length - 1;
	expect(flows()).toBeGreaterThan(FLOWS * 0.9);
	let [longest, last] = [0, performance.now()];
	const tick = () => {
		longest = Math.max(longest, performance.now() - last);
		last = performance.now();
	};
	const ticking = setInterval(tick, 1);
	host.apply({ name: "cut", select: { names: ["web"] }, default: { egress: "deny" } });
	tick();
	await host.policies.settled();
	clearInterval(ticking);
	expect(flows()).toBe(0);
	// 5 ms a slice; the rest is left to a busy machine.
	expect(longest).toBeLessThan(120);
});
