import { afterAll, afterEach, beforeAll, expect, test } from "bun:test";
import { withNetns, writeSysctl } from "../../sys/linux/netns.ts";
import { Nftables } from "../../sys/linux/nftables.ts";
import { OUTSIDE } from "../../sys/linux/testing/outside-host.ts";
import * as raw from "../../sys/linux/testing/raw-frames.ts";
import { poolsOf, TestNetworks } from "../../testing/network-host.ts";
import { pings } from "../../testing/traffic.ts";

/** Containers of one network: `client` is to be deceived of `server` by `mallory`, who has NET_RAW. Nobody was given the address VIP. */
const net = new TestNetworks({ instance: "fg" });
const [VIP, VIP6] = ["10.61.0.99", "fd61::99"];

beforeAll(() => net.start());
afterAll(() => net.end());
afterEach(() => net.clear());

interface Party {
	readonly path: string;
	readonly address: string;
	readonly address6: string;
	readonly mac: string;
}

async function parties(): Promise<{ client: Party; server: Party; mallory: Party }> {
	const { id } = await net.create("lan", {
		enableIpv6: true,
		ipam: poolsOf({ Subnet: "10.61.0.0/24" }, { Subnet: "fd61::/64" }),
	});
	const join = async (name: string): Promise<Party> => {
		const { settings, ...one } = await net.on(name, id);
		return { ...one, mac: settings.endpoints[0]?.macAddress ?? "" };
	};
	return { client: await join("client"), server: await join("server"), mallory: await join("mallory") };
}

const TAGS = [
	{ what: "as it is", tags: [], passes: true },
	{ what: "tagged for VLAN 0", tags: [[0x8100, 0]], passes: true },
	{ what: "tagged by 802.1ad", tags: [[0x88a8, 0]], passes: true },
	{
		what: "tagged twice",
		tags: [
			[0x8100, 0],
			[0x8100, 0],
		],
		passes: false,
	},
] as const;

for (const { what, tags, passes } of TAGS) {
	test(`ARP for a sibling's or the gateway's address is not heard, ${what}; for one that nobody was given it is`, async () => {
		const { client, server, mallory } = await parties();
		expect(pings(client.path, server.address) && pings(client.path, "10.61.0.1")).toBe(true);
		const before = [known(client.path, server.address), known(client.path, "10.61.0.1")];
		expect(before[0]).toBe(server.mac);
		const claim = (address: string, operation: 1 | 2, hardware: number) => {
			const own = { mac: mallory.mac, address };
			const said = raw.arp(own, { mac: client.mac, address: client.address }, operation, hardware);
			for (const to of [client.mac, raw.BROADCAST]) {
				raw.sendFrame(mallory.path, "eth0", raw.ethernet(to, mallory.mac, 0x0806, said, tags));
			}
		};
		// The kernel believes no newer answer within a second.
		await Bun.sleep(1100);
		for (const address of [server.address, "10.61.0.1", VIP]) {
			for (const [operation, hardware] of [
				[2, 1],
				[1, 1],
				[2, 6],
				[1, 6],
			] as const)
				claim(address, operation, hardware);
		}
		await Bun.sleep(50);
		expect([known(client.path, server.address), known(client.path, "10.61.0.1")]).toEqual(before);
		expect(known(client.path, VIP) === mallory.mac).toBe(passes);
		expect(pings(client.path, server.address)).toBe(true);
	});
}

test("neighbour advertisements for a sibling, the gateway or their link-local addresses are not heard, behind options neither", async () => {
	const { client, server, mallory } = await parties();
	const localOf = (path: string, link = "eth0") =>
		/inet6 (fe80:\S+)\//.exec(inside(path, ["ip", "-6", "addr", "show", link]))?.[1] ?? "";
	const targets = [server.address6, "fd61::1", localOf(server.path)];
	for (const one of targets)
		inside(client.path, ["ping", "-6", "-c", "1", "-W", "1", one.startsWith("fe80") ? `${one}%eth0` : one]);
	const before = targets.map((one) => known(client.path, one));
	expect([before[0], before[2]]).toEqual([server.mac, server.mac]);
	for (const hopByHop of [false, true]) {
		for (const target of [...targets, VIP6]) {
			// What is not known is not learned from an answer that nobody asked for: the control asks.
			if (target === VIP6)
				inside(client.path, [
					"ip",
					"neigh",
					"replace",
					VIP6,
					"dev",
					"eth0",
					"lladdr",
					"02:00:00:00:00:09",
					"nud",
					"stale",
				]);
			const message = raw.icmp6(mallory.address6, client.address6, raw.neighbourAdvert(target, mallory.mac), hopByHop);
			raw.sendFrame(mallory.path, "eth0", raw.ethernet(client.mac, mallory.mac, 0x86dd, message));
			raw.sendFrame(mallory.path, "eth0", raw.ethernet(client.mac, mallory.mac, 0x86dd, message, [[0x8100, 0]]));
		}
		await Bun.sleep(50);
		expect(targets.map((one) => known(client.path, one))).toEqual(before);
		expect(known(client.path, VIP6)).toBe(mallory.mac);
	}
	// Nor do solicitations teach it, whose sender is an address of another.
	const solicit = [
		135,
		0,
		0,
		0,
		0,
		0,
		0,
		0,
		...Array(15).fill(0),
		0,
		1,
		1,
		...mallory.mac.split(":").map((one) => Number.parseInt(one, 16)),
	];
	raw.sendFrame(
		mallory.path,
		"eth0",
		raw.ethernet(client.mac, mallory.mac, 0x86dd, raw.icmp6(server.address6, client.address6, solicit)),
	);
	await Bun.sleep(50);
	expect(targets.map((one) => known(client.path, one))).toEqual(before);
});

test("packets with a sibling's or the gateway's source address do not arrive, of either family; the sender's own and unknown ones do", async () => {
	const { client, server, mallory } = await parties();
	await net.create("far", { enableIpv6: true, ipam: poolsOf({ Subnet: "10.62.0.0/24" }, { Subnet: "fd62::/64" }) });
	using heard = await listenUdp(client.path, 9000);
	const send = (source: string, tags: readonly (readonly [number, number])[] = []) => {
		const six = source.includes(":");
		const packet = six ? raw.udp6(source, client.address6, 9000, "x") : raw.udp4(source, client.address, 9000, "x");
		raw.sendFrame(mallory.path, "eth0", raw.ethernet(client.mac, mallory.mac, six ? 0x86dd : 0x0800, packet, tags));
	};
	for (const tags of [[], [[0x8100, 0]]] as const) {
		for (const source of [server.address, "10.61.0.1", server.address6, "fd61::1"]) send(source, tags);
	}
	// Masqueraded, they would be the gateway's.
	for (const source of ["127.0.0.11", "10.62.0.9", "10.62.0.1", "fd62::9"]) send(source);
	for (const source of [mallory.address, VIP, mallory.address6, VIP6]) send(source);
	await Bun.sleep(100);
	expect(heard.heard().toSorted()).toEqual([mallory.address, VIP, mallory.address6, VIP6].toSorted());
});

test("frames with a sibling's or the host's MAC do not turn its traffic aside, those to addresses of bridges neither", async () => {
	const { client, server, mallory } = await parties();
	expect(pings(client.path, server.address)).toBe(true);
	const gateway = known(client.path, "10.61.0.1") ?? known(server.path, "10.61.0.1");
	const places = () =>
		Bun.spawnSync(["bridge", "fdb", "show"])
			.stdout.toString()
			.split("\n")
			.filter((line) => line.startsWith(server.mac))
			.sort();
	const before = places();
	expect(before.length).toBeGreaterThan(0);
	const data = new Uint8Array(46);
	// LLDP, slow protocols, 802.1X; then what every bridge passes on.
	for (const to of ["01:80:c2:00:00:0e", "01:80:c2:00:00:02", "01:80:c2:00:00:03", raw.BROADCAST, client.mac]) {
		for (const from of [server.mac, gateway ?? server.mac]) {
			for (const protocol of [0x88cc, 0x0800, 0x88b5])
				raw.sendFrame(mallory.path, "eth0", raw.ethernet(to, from, protocol, data));
		}
	}
	await Bun.sleep(50);
	expect(places()).toEqual(before);
	expect(pings(client.path, server.address)).toBe(true);
	// One that nobody has is learned, as ever: interfaces that a container makes inside itself.
	raw.sendFrame(mallory.path, "eth0", raw.ethernet(raw.BROADCAST, "02:99:00:00:00:01", 0x88b5, data));
	expect(Bun.spawnSync(["bridge", "fdb", "show"]).stdout.toString()).toContain("02:99:00:00:00:01");
});

test("the host does not believe it either", async () => {
	const { server, mallory } = await parties();
	expect(Bun.spawnSync(["ping", "-c", "1", "-W", "1", server.address]).exitCode).toBe(0);
	await Bun.sleep(1100);
	const host = { mac: raw.BROADCAST, address: "10.61.0.1" };
	for (const operation of [1, 2] as const) {
		const said = raw.arp({ mac: mallory.mac, address: server.address }, host, operation);
		raw.sendFrame(mallory.path, "eth0", raw.ethernet(raw.BROADCAST, mallory.mac, 0x0806, said));
	}
	await Bun.sleep(50);
	expect(knownIn(Bun.spawnSync(["ip", "neigh"]).stdout.toString(), server.address)).toBe(server.mac);
});

test("router advertisements and redirects of a sibling change no routes", async () => {
	const { client, mallory } = await parties();
	const local = /inet6 (fe80:\S+)\//.exec(inside(mallory.path, ["ip", "-6", "addr", "show", "eth0"]))?.[1] ?? "";
	// Of the host, those that lead anywhere: bridges of other tests are still being taken apart.
	const onHost = () =>
		Bun.spawnSync(["ip", "-6", "route"])
			.stdout.toString()
			.match(/.*(via|fd99).*/g);
	const routes = () =>
		`${inside(client.path, ["ip", "-6", "route"])}${inside(client.path, ["ip", "-6", "addr"])}${onHost()}`;
	const before = routes();
	const advert = raw.icmp6(local, "ff02::1", raw.routerAdvert(mallory.mac, "fd99::"));
	raw.sendFrame(mallory.path, "eth0", raw.ethernet(raw.ALL_NODES, mallory.mac, 0x86dd, advert));
	await Bun.sleep(300);
	expect(routes()).toBe(before);
	// The control: who asks for it hears it.
	withNetns(client.path, () => writeSysctl("net/ipv6/conf/eth0/accept_ra", "2"));
	raw.sendFrame(mallory.path, "eth0", raw.ethernet(raw.ALL_NODES, mallory.mac, 0x86dd, advert));
	await Bun.sleep(300);
	expect(routes()).toContain("fd99::");
});

test("a container may pass on what others send: a router between networks", async () => {
	const { client, server: router } = await parties();
	const { id } = await net.create("far", { ipam: poolsOf({ Subnet: "10.62.0.0/24" }) });
	const far = await net.on("far", id);
	const settings = await net.sandboxes.attach("server", { network: id });
	net.joined.set("server", settings);
	const there = settings.endpoints.find(({ networkId }) => networkId === id)?.ipAddress ?? "";
	withNetns(router.path, () => writeSysctl("net/ipv4/ip_forward", "1"));
	inside(client.path, ["ip", "route", "add", "10.62.0.0/24", "via", router.address]);
	inside(far.path, ["ip", "route", "add", "10.61.0.0/24", "via", there]);
	await Bun.sleep(50);
	using heard = await listenUdp(far.path, 9001);
	const socket = await withNetns(client.path, () => Bun.udpSocket({ hostname: "0.0.0.0", socket: {} }));
	socket.send("x", 9001, far.address);
	await Bun.sleep(300);
	socket.close();
	expect(heard.heard()).toEqual([client.address]);
	expect(pings(far.path, client.address)).toBe(true);
});

test("guards go with their container, come back when rules are flushed, and outlive the daemon", async () => {
	const { client, server, mallory } = await parties();
	using heard = await listenUdp(client.path, 9000);
	const forge = async () => {
		const count = heard.heard().length;
		const packet = raw.udp4(server.address, client.address, 9000, "x");
		raw.sendFrame(mallory.path, "eth0", raw.ethernet(client.mac, mallory.mac, 0x0800, packet));
		await Bun.sleep(50);
		return heard.heard().length > count;
	};
	expect(await forge()).toBe(false);
	using nft = new Nftables();
	nft.run("flush ruleset");
	expect(await forge()).toBe(true);
	await Bun.sleep(400);
	expect(await forge()).toBe(false);
	net.die();
	expect(await forge()).toBe(false);
	await net.start([...net.joined].map(([containerId, settings]) => ({ containerId, settings })));
	expect(await forge()).toBe(false);
	await net.sandboxes.leave("server");
	net.joined.delete("server");
	await Bun.sleep(400);
	expect(await forge()).toBe(true);
	// The next one's own from its first moment on.
	const next = await net.on("next", "lan", { address: server.address });
	expect(pings(client.path, next.address)).toBe(true);
	expect(await forge()).toBe(false);
});

/** Who was heard, without an answer: forgers have no socket for it. */
async function listenUdp(path: string | undefined, port: number) {
	const heard: string[] = [];
	const handler = {
		data: (_: unknown, __: Buffer, ___: number, from: string) => void heard.push(from.replace(/^::ffff:/, "")),
	};
	const open = () => Bun.udpSocket({ hostname: "::", port, socket: handler });
	const socket = await (path ? withNetns(path, open) : open());
	return { heard: () => heard, [Symbol.dispose]: () => socket.close() };
}

function inside(path: string, command: string[]): string {
	const { stdout } = Bun.spawnSync(["nsenter", `--net=${path}`, ...command]);
	return stdout.toString();
}

/** The MAC that is known for an address. */
function known(path: string, address: string): string | undefined {
	return knownIn(inside(path, ["ip", "neigh"]), address);
}

function knownIn(text: string, address: string): string | undefined {
	return text
		.split("\n")
		.find((line) => line.startsWith(`${address} `))
		?.match(/lladdr (\S+)/)?.[1];
}

test("answers of name servers that a container forges come neither to a sibling nor to the host", async () => {
	const { client, mallory } = await parties();
	using heard = await listenUdp(client.path, 9000);
	using onHost = await listenUdp(undefined, 9000);
	expect(pings(mallory.path, "10.61.0.1")).toBe(true);
	const toHost = known(mallory.path, "10.61.0.1") ?? "";
	const send = (to: string, source: string, target: string, port = 53) => {
		const packet = raw.udp4(source, target, 9000, "x", port);
		raw.sendFrame(mallory.path, "eth0", raw.ethernet(to, mallory.mac, 0x0800, packet));
	};
	// The resolver inside, the host's, one of the internet.
	for (const source of ["127.0.0.11", "127.0.0.53"])
		for (const port of [53, 4242]) send(client.mac, source, client.address, port);
	for (const source of ["127.0.0.53", OUTSIDE]) send(toHost, source, "10.61.0.1");
	// The controls: from port 53 of one who is at home there, and by another port.
	send(client.mac, VIP, client.address);
	send(toHost, mallory.address, "10.61.0.1");
	send(toHost, OUTSIDE, "10.61.0.1", 54);
	await Bun.sleep(100);
	expect(heard.heard()).toEqual([VIP]);
	expect(onHost.heard()).toEqual([mallory.address, OUTSIDE]);
});
