import { Database } from "bun:sqlite";
import { afterAll, afterEach, beforeAll, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { decode, encode } from "dns-packet";
import { createForwarder } from "../../dns/forward.ts";
import { createSandboxResolver } from "../../dns/sandbox-resolver.ts";
import { NftFirewall } from "../../drivers/firewall/nft.ts";
import { createIpamDriver } from "../../drivers/ipam/pool.ts";
import { BridgeDriver } from "../../drivers/network/bridge.ts";
import { createNamespaceDriver } from "../../drivers/network/namespace.ts";
import { parseIpv4 } from "../../shared/ip.ts";
import { silentLogger } from "../../shared/log.ts";
import * as networkStore from "../../store/networks.ts";
import { PolicyStore, policiesSchema } from "../../store/policies.ts";
import { addAddress } from "../../sys/linux/address.ts";
import { check, libc } from "../../sys/linux/libc.ts";
import { RouteSocket } from "../../sys/linux/netlink.ts";
import { openNetns, removeNetns, withNetns, writeSysctl } from "../../sys/linux/netns.ts";
import { Nftables } from "../../sys/linux/nftables.ts";
import { closePort } from "../../sys/linux/port-socket.ts";
import { ask, askUdp, buildOutside, HOST, OUTSIDE, serveTcp } from "../../sys/linux/testing/outside-host.ts";
import type { NetworkSettings } from "../containers/record.ts";
import { createEventBus } from "../event-bus.ts";
import { LiveNetworks } from "../networks/live.ts";
import { createNetworks } from "../networks/service.ts";
import type { PortRequest, Sandboxes } from "../sandboxes/contract.ts";
import { createSandboxes } from "../sandboxes/service.ts";
import { parsePolicies } from "./parse.ts";
import type { Policy } from "./policy.ts";
import { PolicyService } from "./service.ts";

/** The host of these tests is a fresh namespace; `outside` is the internet, with servers at three addresses and a name server. */
const root = mkdtempSync(join(tmpdir(), `foredeck-policy-${process.pid}-`));
const outside = join(root, "outside");
const [API, WILD, OTHER] = ["198.51.100.3", "198.51.100.4", "198.51.100.5"];
const database = new Database(":memory:");
const facts = new Map<string, { name: string; labels: Record<string, string> }>();
const joined = new Map<string, NetworkSettings>();
const servers: Disposable[] = [];
let home: number;
let sandboxes: Sandboxes;
let policies: PolicyService;
let firewall: NftFirewall;

beforeAll(async () => {
	home = openNetns("/proc/thread-self/ns/net");
	check(libc.unshare(0x40000000), "unshare --net");
	buildOutside(outside);
	withNetns(outside, () => {
		using inside = new RouteSocket();
		for (const address of [API, WILD, OTHER]) inside.request(addAddress(2, parseIpv4(address) ?? 0, 24));
	});
	servers.push(serveTcp(outside, 80, "outside"), serveTcp(outside, 81, "outside"), await serveNames());
	database.run("PRAGMA foreign_keys = ON");
	for (const name of ["networksSchema", "userNetworksSchema", "familiesSchema"]) {
		const schema: unknown = Object.entries(networkStore).find(([key]) => key === name)?.[1];
		if (typeof schema === "string") database.exec(schema);
	}
	database.exec(policiesSchema);
	await start();
	await networks().create({ ...BLUE, name: "blue" });
	await networks().create({ ...BLUE, name: "red" });
});

afterAll(async () => {
	await leaveAll();
	policies.close();
	await sandboxes.close();
	for (const server of servers) server[Symbol.dispose]();
	removeNetns(outside);
	check(libc.setns(home, 0x40000000), "setns");
	closePort(home);
	rmSync(root, { recursive: true, force: true });
});

afterEach(async () => {
	await leaveAll();
	for (const { policy } of policies.list()) policies.remove(policy.name);
	expect(tables()).toEqual(["inet foredeck-t"]);
});

test("by default of deny only what a rule allows gets out, by name what was answered for it, and CNAMEs lead there", async () => {
	apply({
		name: "lock",
		select: { names: ["web"] },
		default: { egress: "deny" },
		rules: [{ action: "allow", to: ["api.example.org:80", "*.wild.example.org"] }],
	});
	const [web, free] = [await on("web", "blue"), await on("free", "blue")];
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
	const log = policies.denied().map(({ sandbox, peer, port, protocol }) => `${sandbox} ${peer}:${port}/${protocol}`);
	expect(log).toContain(`web ${API}:81/tcp`);
	expect(log).toContain(`web ${OTHER}:80/tcp`);
	expect(log).toContain("web other.example.org:53/dns");
	const counts = policies.inspect("lock").counts;
	// A connection that was tried too early sends its SYN again: allowed by then, it is counted too.
	expect(counts.find(({ rule }) => rule === 0)?.packets).toBeGreaterThanOrEqual(2);
	expect(counts.find(({ rule }) => rule === "egress")?.packets).toBeGreaterThanOrEqual(4);
});

test("an address is allowed for its time to live; connections that began go on after it", async () => {
	apply({
		name: "lock",
		select: { all: true },
		default: { egress: "deny" },
		rules: [{ action: "allow", to: ["api.example.org"] }],
	});
	const web = await on("web", "blue");
	using echo = serveEcho(outside, 90);
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
	apply(
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
	const db = await on("db", "blue");
	const [app, other, bad] = [
		await on("app", "blue", { role: "app" }),
		await on("other", "blue"),
		await on("bad1", "blue", { role: "app" }),
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
	expect(policies.explain("bad1", "db:80").decisions[1]).toMatchObject({ action: "deny", policy: "never", rule: 0 });
	expect(policies.explain("app", "db:80").allowed).toBe(true);
	// One comes that is allowed, one that was goes and another gets its address.
	const late = await on("late", "blue", { role: "app" });
	expect(await ask(late.path, db.address, 80)).toStartWith("db;");
	await leave("late");
	const heir = await on("heir", "blue", {}, [], late.address);
	expect(heir.address).toBe(late.address);
	expect(await ask(heir.path, db.address, 80)).toBe("closed");
});

test("published ports: ingress sees who comes from outside", async () => {
	apply({
		name: "front",
		select: { networks: ["red"] },
		default: { ingress: "deny" },
		rules: [
			{ action: "allow", from: [{ cidr: "198.51.100.0/24", except: [OTHER] }], ports: 80 },
			{ action: "allow", from: ["host"], ports: 80 },
		],
	});
	const web = await on("web", "red", {}, [port(80, 8080), port(81, 8081)]);
	using _one = serveTcp(web.path, 80, "web");
	using _two = serveTcp(web.path, 81, "web");
	expect(await ask(outside, HOST, 8080)).toBe(`web;${OUTSIDE}`);
	expect(await ask(outside, HOST, 8081)).toBe("closed");
	expect(await ask(undefined, "127.0.0.1", 8080)).toStartWith("web;");
	expect(await ask(undefined, "127.0.0.1", 8081)).toBe("closed");
});

test("nobody sends with another's address, and one with a policy not with any other", async () => {
	apply({
		name: "db",
		select: { names: ["db"] },
		default: { ingress: "deny" },
		rules: [{ action: "allow", from: [{ sandboxes: { names: ["app"] } }], protocols: ["udp"] }],
	});
	const [db, app, evil] = [await on("db", "blue"), await on("app", "blue"), await on("evil", "blue")];
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
	expect(policies.apply(parsePolicies({ name: "later", default: { egress: "deny" } }), { dryRun: true })).toEqual([
		{ name: "later", change: "created", sandboxes: [], unenforced: [] },
	]);
	expect(new Nftables().run("list ruleset")).toBe(before);
	expect(policies.list()).toEqual([]);
	await expect(on("web", "blue", { "foredeck.policy": "later" })).rejects.toThrow(
		'names policy "later", which does not exist',
	);
	joined.delete("web");
	apply({ name: "later", default: { egress: "deny" } });
	const web = await on("web", "blue", { "foredeck.policy": "later" });
	expect(await ask(web.path, OUTSIDE, 80)).toBe("closed");
	expect(() => policies.remove("later")).toThrow("named by the label foredeck.policy of web");
});

test("policies, what was learned and what was counted outlive a restart; a network more changes none of it", async () => {
	apply({
		name: "lock",
		select: { names: ["web"] },
		default: { egress: "deny" },
		rules: [{ action: "allow", to: ["slow.example.org"] }],
	});
	const web = await on("web", "blue");
	expect(await resolve(web.path, "slow.example.org")).toEqual([API]);
	expect(await ask(web.path, API, 80)).toBe(`outside;${HOST}`);
	await networks().create({ ...BLUE, name: "green" });
	const check = async (allowed: number) => {
		expect(await ask(web.path, API, 80)).toBe(`outside;${HOST}`);
		expect(await ask(web.path, OTHER, 80)).toBe("closed");
		expect(policies.inspect("lock").counts.find(({ rule }) => rule === 0)?.packets).toBe(allowed);
	};
	await check(2);
	policies.close();
	await sandboxes.close();
	await start([...joined].map(([containerId, settings]) => ({ containerId, settings })));
	await check(3);
	// Put back whole when others flush it.
	new Nftables().run("flush ruleset");
	await Bun.sleep(250);
	expect(await ask(web.path, API, 80)).toBe(`outside;${HOST}`);
	expect(await ask(web.path, OTHER, 80)).toBe("closed");
});

const BLUE = {
	driver: "bridge",
	scope: "",
	internal: false,
	attachable: false,
	ingress: false,
	configOnly: false,
	configFrom: "",
	enableIpv4: true,
	enableIpv6: false,
	labels: {},
	options: {},
	ipam: { driver: "default", options: null, config: [] },
};

let live: LiveNetworks;
let store: networkStore.NetworkStore;

async function start(keep: { containerId: string; settings: NetworkSettings }[] = []): Promise<void> {
	store = new networkStore.NetworkStore(database);
	const [network, ipam, log] = [new BridgeDriver(silentLogger), createIpamDriver(), silentLogger];
	live = new LiveNetworks({ instance: "t", store, network, ipam, log });
	firewall = new NftFirewall(log);
	policies = new PolicyService({
		instance: "t",
		store: new PolicyStore<Policy>(database),
		firewall,
		members: () => sandboxes.members(),
		containerOf: (id) => facts.get(id),
		onHost: () => [],
		log,
		lifetime: { min: 1, max: 3600 },
	});
	const directory = {
		fromSandbox: () => undefined,
		fromHost: () => undefined,
		nameOf: () => undefined,
		mayAskOutside: () => true,
		mayAskHost: () => true,
	};
	const forward = createForwarder({ upstreams: () => [{ address: OUTSIDE, port: 53 }] });
	sandboxes = createSandboxes({
		instance: "t",
		runRoot: root,
		store,
		live,
		resolver: createSandboxResolver({ withNetns, directory, forward, domain: "fd.local", policies, log }),
		namespaces: createNamespaceDriver(),
		network,
		firewall,
		policies,
		ipam,
		log,
		poolSize: 0,
	});
	await sandboxes.open(keep);
}

function networks() {
	return createNetworks({ store, live, ipam: createIpamDriver(), sandboxes, events: createEventBus() });
}

function apply(...documents: object[]): void {
	policies.apply(parsePolicies(documents), { dryRun: false });
}

async function on(
	name: string,
	network: string,
	labels: Record<string, string> = {},
	ports: PortRequest[] = [],
	address?: string,
) {
	facts.set(name, { name, labels });
	const endpoints = [{ network, ...(address && { address }) }];
	const settings = await sandboxes.join({
		containerId: name,
		containerName: name,
		mode: "bridge",
		endpoints,
		ports,
		sysctls: {},
	});
	joined.set(name, settings);
	// The kernel enables a bridge's new port from a work queue.
	await Bun.sleep(20);
	return { path: settings.sandboxPath ?? "", address: settings.endpoints[0]?.ipAddress ?? "" };
}

async function leave(name: string): Promise<void> {
	await sandboxes.leave(name);
	joined.delete(name);
	facts.delete(name);
}

async function leaveAll(): Promise<void> {
	for (const name of joined.keys()) await leave(name);
}

function port(containerPort: number, hostPort: number): PortRequest {
	return { protocol: "tcp", containerPort, hostIp: "", hostPort };
}

function tables(): string[] {
	const text = new Nftables().run("list tables");
	return [...text.matchAll(/table (\S+ foredeck-\S+)/g)].map(([, name = ""]) => name);
}

/** Of the name server: address, time to live, and an alias before it. */
const ZONE: Record<string, { address: string; ttl: number; alias?: string }> = {
	"api.example.org": { address: API, ttl: 1 },
	"slow.example.org": { address: API, ttl: 300 },
	"a.b.wild.example.org": { address: WILD, ttl: 60, alias: "cdn.example.net" },
	"wild.example.org": { address: WILD, ttl: 60 },
	"other.example.org": { address: OTHER, ttl: 60 },
};

async function serveNames(): Promise<Disposable> {
	const socket = await withNetns(outside, () =>
		Bun.udpSocket({
			hostname: "0.0.0.0",
			port: 53,
			socket: {
				data(own, bytes: Buffer, port, address) {
					const { id = 0, questions = [] } = decode(bytes);
					const asked = questions[0]?.name ?? "";
					const { address: data = "", ttl, alias } = ZONE[asked.toLowerCase()] ?? {};
					const own1 = { type: "A" as const, name: alias ?? asked, ttl, data };
					// A record of another name, that the answer has no business to tell of.
					const stray = { type: "A" as const, name: "stray.example.net", ttl, data: OTHER };
					const aliases = alias ? [{ type: "CNAME" as const, name: asked, ttl, data: alias }] : [];
					const answers = alias ? [stray, own1, ...aliases] : [own1];
					own.send(encode({ type: "response", id, questions, answers }), port, address);
				},
			},
		}),
	);
	return { [Symbol.dispose]: () => socket.close() };
}

/** Addresses that the sandbox is told, "NXDOMAIN", or nothing when nobody answers. */
async function resolve(path: string, name: string, server = "127.0.0.11"): Promise<string[] | string | undefined> {
	const { promise, resolve: done } = Promise.withResolvers<Buffer | undefined>();
	const opening = withNetns(path, () =>
		Bun.udpSocket({ hostname: "0.0.0.0", socket: { data: (_, bytes: Buffer) => done(Buffer.from(bytes)) } }),
	);
	const socket = await opening;
	socket.send(encode({ type: "query", id: 7, questions: [{ name, type: "A" }] }), 53, server);
	const timer = setTimeout(done, 500, undefined);
	const reply = await promise;
	clearTimeout(timer);
	socket.close();
	if (!reply) return undefined;
	const packet = decode(reply);
	if (((reply[3] ?? 0) & 15) === 3) return "NXDOMAIN";
	return (packet.answers ?? []).flatMap((one) =>
		one.type === "A" && one.name !== "stray.example.net" ? [one.data] : [],
	);
}

function serveEcho(path: string, number: number): Disposable {
	const socket = { data: (own: Bun.Socket, bytes: Buffer) => void own.write(bytes) };
	const server = withNetns(path, () => Bun.listen({ hostname: "0.0.0.0", port: number, socket }));
	return { [Symbol.dispose]: () => server.stop(true) };
}

/** A connection that stays open. */
async function talk(path: string, hostname: string, number: number) {
	let heard = Promise.withResolvers<string>();
	const socket = {
		data: (_: Bun.Socket, bytes: Buffer) => heard.resolve(bytes.toString()),
		close: () => heard.resolve("closed"),
	};
	const connection = await withNetns(path, () => Bun.connect({ hostname, port: number, socket }));
	return {
		say(text: string): Promise<string> {
			heard = Promise.withResolvers();
			connection.write(text);
			setTimeout(() => heard.resolve("silence"), 1000);
			return heard.promise;
		},
		close: () => connection.terminate(),
	};
}

async function serveUdp(path: string, number: number): Promise<Disposable & { heard(): string[] }> {
	const from: string[] = [];
	const handler = {
		data(
			own: { send(data: Buffer, port: number, address: string): unknown },
			bytes: Buffer,
			port: number,
			address: string,
		) {
			from.push(address);
			own.send(Buffer.from(bytes), port, address);
		},
	};
	const socket = await withNetns(path, () => Bun.udpSocket({ hostname: "0.0.0.0", port: number, socket: handler }));
	return { heard: () => from, [Symbol.dispose]: () => socket.close() };
}

async function sendFrom(path: string, source: string, target: string, number: number): Promise<void> {
	const socket = await withNetns(path, () => Bun.udpSocket({ hostname: source, socket: {} }));
	socket.send("forged", number, target);
	await Bun.sleep(50);
	socket.close();
}
