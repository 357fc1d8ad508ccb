import { afterAll, afterEach, beforeAll, expect, test } from "bun:test";
import { join } from "node:path";
import { parseIpv4 } from "../../shared/ip.ts";
import { addAddress } from "../../sys/linux/address.ts";
import { createVeth, findLink, listLinks, setUp } from "../../sys/linux/link.ts";
import { RouteSocket } from "../../sys/linux/netlink.ts";
import { createNetns, openNetns, removeNetns, withNetns, writeSysctl } from "../../sys/linux/netns.ts";
import { closePort } from "../../sys/linux/port-socket.ts";
import { addDefaultRoute } from "../../sys/linux/route.ts";
import { ask, HOST, OUTSIDE, serveTcp } from "../../sys/linux/testing/outside-host.ts";
import { portOf, TestNetworks } from "../../testing/network-host.ts";

/** `outside` is the internet behind one wire, 10.77.0.2 a machine of the LAN behind the other. */
const LAN_HOST = "10.77.0.1";
const LAN_MACHINE = "10.77.0.2";
const [HOST6, OUTSIDE6] = ["2001:db8:1::1", "2001:db8:1::2"];
const CONTROL_PORT = 2375;
let lab: TestNetworks;
let lan: string;
let internet: string;

beforeAll(async () => {
	const control = [{ protocol: "tcp", address: 0, port: CONTROL_PORT }] as const;
	lab = new TestNetworks({ instance: "modes", modes: true, control });
	[lan, internet] = [join(lab.root, "lan"), lab.outside];
	buildLan();
	await lab.start();
});

afterAll(async () => {
	removeNetns(lan);
	await lab.end();
});

afterEach(() => lab.clear());

test("disabled: lo is the only interface and down, nothing is reached, not even itself", async () => {
	const { path } = await lab.on("a", "disabled");
	expect(linksOf(path)).toEqual([["lo", false]]);
	using _self = serveTcp(path, 80, "self");
	expect(await ask(path, "127.0.0.1", 80)).toBe("closed");
	expect(await ask(path, OUTSIDE, 7000)).toBe("closed");
});

test("loopback: itself and nothing else", async () => {
	const { path } = await lab.on("a", "loopback");
	using _self = serveTcp(path, 80, "self");
	using _out = serveTcp(internet, 7000, "internet");
	expect(linksOf(path)).toEqual([["lo", true]]);
	expect(await ask(path, "127.0.0.1", 80)).toBe("self;127.0.0.1");
	expect(await ask(path, OUTSIDE, 7000)).toBe("closed");
	expect(await ask(path, HOST, 7000)).toBe("closed");
});

test("outbound: the internet, behind the host's address; neither LAN nor host nor other containers, and nothing gets in", async () => {
	const [a, b, web] = [
		await lab.on("a", "outbound"),
		await lab.on("b", "outbound"),
		await lab.on("web", "bridge", {}, [portOf(80, 8080)]),
	];
	using _internet = serveTcp(internet, 7000, "internet");
	using _lan = serveTcp(lan, 7000, "lan");
	using _a = serveTcp(a.path, 80, "a");
	using _b = serveTcp(b.path, 80, "b");
	using _web = serveTcp(web.path, 80, "web");
	using _host = Bun.listen({ hostname: "0.0.0.0", port: 7001, socket: { open: (s) => void s.end("host"), data() {} } });
	expect(a.address).toBe("192.168.65.2");
	expect(await ask(a.path, OUTSIDE, 7000)).toBe(`internet;${HOST}`);
	const gateway = "192.168.65.1";
	const closed: [string, number][] = [
		[LAN_MACHINE, 7000],
		[HOST, 7001],
		[LAN_HOST, 7001],
		[gateway, 7001],
		[HOST, 8080],
		[gateway, 8080],
		[b.address, 80],
		[web.address, 80],
	];
	const heard = await Promise.all(closed.map(([address, number]) => ask(a.path, address, number)));
	expect(heard).toEqual(closed.map(() => "closed"));
	// All of them answer one who may, or the lines above would say nothing.
	expect(await ask(web.path, LAN_MACHINE, 7000)).toBe(`lan;${LAN_HOST}`);
	expect(await ask(web.path, HOST, 7001)).toBe("host");
	expect(await ask(internet, HOST, 8080)).toStartWith("web;");
	const inwards = [undefined, internet, web.path, b.path].map((from) => ask(from, a.address, 80));
	expect(await Promise.all(inwards)).toEqual(inwards.map(() => "closed"));
	expect(await ask(a.path, "127.0.0.1", 80)).toStartWith("a;");
});

test("outbound: no port can be published, and the text says what to do", async () => {
	const refusal = lab.on("a", "outbound", {}, [portOf(80, 8081)]);
	await expect(refusal).rejects.toThrow(
		"cannot publish port 80/tcp: nothing comes into network outbound; use network full",
	);
	await expect(lab.on("b", "loopback", {}, [portOf(80, 8081)])).rejects.toThrow("nothing comes into network loopback");
});

test("outbound has no IPv6, and a container that gives itself an address and routes gets nowhere, and nobody to it", async () => {
	addSix();
	using _internet = serveSix(internet, 7000, "internet");
	using _host = serveSix(undefined, 7001, "host");
	const closed = await forgedSix("a", "outbound", "fd77::2");
	using _closed = serveSix(closed, 80, "a");
	expect(await ask(closed, OUTSIDE6, 7000)).toBe("closed");
	for (const address of [HOST6, "fd77::1"]) expect(await ask(closed, address, 7001)).toBe("closed");
	expect(await ask(undefined, "fd77::2", 80)).toBe("closed");
	expect(await ask(internet, "fd77::2", 80)).toBe("closed");
	run(closed, "ip", "neigh", "replace", "fd77::3", "lladdr", "02:00:00:00:00:09", "dev", "eth0");
	const sibling = await forgedSix("b", "outbound", "fd77::3");
	using _sibling = serveSix(sibling, 80, "b");
	expect(await ask(closed, "fd77::3", 80)).toBe("closed");
	for (const id of ["a", "b"]) await leave(id);
	// The same tricks work where IPv6 is not closed, or the lines above would say nothing.
	const open = await forgedSix("c", "full", "fd78::2");
	expect(await hear(open, OUTSIDE6, 7000)).toStartWith("internet;");
	expect(await hear(open, HOST6, 7001)).toStartWith("host;");
}, 20_000);

test("full: internet, LAN, host, peers; host and peers get in, others only to published ports", async () => {
	const [a, b] = [await lab.on("a", "full", {}, [portOf(80, 8082)]), await lab.on("b", "full")];
	using _internet = serveTcp(internet, 7000, "internet");
	using _lan = serveTcp(lan, 7000, "lan");
	using _a = serveTcp(a.path, 80, "a");
	expect(await hear(b.path, OUTSIDE, 7000)).toBe(`internet;${HOST}`);
	expect(await ask(b.path, LAN_MACHINE, 7000)).toBe(`lan;${LAN_HOST}`);
	for (const from of [undefined, b.path]) expect(await ask(from, a.address, 80)).toStartWith("a;");
	expect(await ask(internet, HOST, 8082)).toBe(`a;${OUTSIDE}`);
	expect(await ask(internet, a.address, 80)).toBe("closed");
});

test("an outbound network of the user's reaches what it allows of the LAN, and no more", async () => {
	const options = { "foredeck.mode": "outbound", "foredeck.allow": LAN_MACHINE };
	const asked = {
		internal: false,
		attachable: false,
		ingress: false,
		configOnly: false,
		configFrom: "",
		enableIpv4: true,
	};
	const ipam = { driver: "", options: null, config: [] };
	await lab.networks.create({
		...asked,
		name: "work",
		driver: "",
		scope: "",
		enableIpv6: false,
		labels: {},
		options,
		ipam,
	});
	const [a, out] = [await lab.on("a", "work"), await lab.on("out", "outbound")];
	using _lan = serveTcp(lan, 7000, "lan");
	using _host = Bun.listen({ hostname: "0.0.0.0", port: 7001, socket: { open: (s) => void s.end("host"), data() {} } });
	expect(await ask(a.path, LAN_MACHINE, 7000)).toBe(`lan;${LAN_HOST}`);
	expect(await ask(out.path, LAN_MACHINE, 7000)).toBe("closed");
	expect(await ask(a.path, LAN_HOST, 7001)).toBe("closed");
	for (const id of lab.joined.keys()) await lab.sandboxes.leave(id);
	await lab.networks.remove("work");
});

test.each(["bridge", "full"])(
	"the engine's own port is closed to containers on %s by every address of the host",
	async (network) => {
		const { path } = await lab.on("a", network);
		using _ = Bun.listen({
			hostname: "0.0.0.0",
			port: CONTROL_PORT,
			socket: { open: (s) => void s.end("api"), data() {} },
		});
		const gateway = lab.joined.get("a")?.endpoints[0]?.gateway ?? "";
		for (const address of [gateway, HOST, LAN_HOST]) expect(await ask(path, address, CONTROL_PORT)).toBe("closed");
		expect(await ask(undefined, HOST, CONTROL_PORT)).toBe("api");
	},
);

test("modes are listed, cannot be made, removed or pruned, and outlive a restart with the containers on them", async () => {
	const names = () => lab.networks.list().map(({ name }) => name);
	expect(names()).toEqual(["bridge", "host", "none", "disabled", "loopback", "outbound", "full"]);
	for (const name of ["disabled", "loopback", "outbound", "full"]) {
		await expect(lab.networks.remove(name)).rejects.toThrow(`${name} is a pre-defined network and cannot be removed`);
	}
	expect(await lab.networks.prune(() => true)).toEqual([]);
	const kept = { a: await lab.on("a", "outbound"), l: await lab.on("l", "loopback"), d: await lab.on("d", "disabled") };
	const keep = [...lab.joined].map(([containerId, settings]) => ({ containerId, settings }));
	await lab.sandboxes.close();
	await lab.start(keep);
	using _internet = serveTcp(internet, 7000, "internet");
	using _host = Bun.listen({ hostname: "0.0.0.0", port: 7001, socket: { open: (s) => void s.end("host"), data() {} } });
	expect(await ask(kept.a.path, OUTSIDE, 7000)).toBe(`internet;${HOST}`);
	expect(await ask(kept.a.path, HOST, 7001)).toBe("closed");
	expect([linksOf(kept.l.path), linksOf(kept.d.path)]).toEqual([[["lo", true]], [["lo", false]]]);
	const on1 = (name: string) => lab.networks.inspect(name).endpoints.map(({ containerId }) => containerId);
	expect([on1("outbound"), on1("loopback"), on1("disabled")]).toEqual([["a"], ["l"], ["d"]]);
});

/** The kernel enables a bridge's new port from a work queue: a second later at worst. */
async function hear(path: string, address: string, number: number): Promise<string> {
	for (let tries = 0; tries < 5; tries++) {
		const answer = await ask(path, address, number);
		if (answer !== "closed") return answer;
	}
	return "closed";
}

async function leave(id: string): Promise<void> {
	await lab.sandboxes.leave(id);
	lab.joined.delete(id);
}

/** IPv6 on the wire to the internet, which knows the way back to what the containers of these tests give themselves; the host passes it on. */
function addSix(): void {
	run(undefined, "ip", "addr", "add", `${HOST6}/64`, "dev", "wire", "nodad");
	run(internet, "ip", "addr", "add", `${OUTSIDE6}/64`, "dev", "eth0", "nodad");
	for (const subnet of ["fd77::/64", "fd78::/64"]) run(internet, "ip", "route", "add", subnet, "via", HOST6);
	writeSysctl("net/ipv6/conf/all/forwarding", "1");
}

/** What a container with CAP_NET_ADMIN can do: an address, and the bridge for a router, whose link address it knows. */
async function forgedSix(id: string, network: string, address: string): Promise<string> {
	const { path } = await lab.on(id, network);
	const bridge = lab.networks.inspect(network).bridge ?? "";
	const macOf = (where: string | undefined, link: string) =>
		/link\/ether (\S+)/.exec(run(where, "ip", "link", "show", link))?.[1] ?? "";
	const mac = macOf(undefined, bridge);
	const gateway = address.replace(/\d+$/, "1");
	run(undefined, "ip", "addr", "replace", `${gateway}/64`, "dev", bridge, "nodad");
	withNetns(path, () => writeSysctl("net/ipv6/conf/eth0/disable_ipv6", "0"));
	run(path, "ip", "addr", "add", `${address}/64`, "dev", "eth0", "nodad");
	run(path, "ip", "neigh", "replace", gateway, "lladdr", mac, "dev", "eth0");
	run(path, "ip", "route", "add", "default", "via", gateway);
	run(undefined, "ip", "neigh", "replace", address, "lladdr", macOf(path, "eth0"), "dev", bridge);
	return path;
}

function serveSix(path: string | undefined, number: number, text: string): Disposable {
	const socket = { open: (s: Bun.Socket) => void s.end(`${text};${s.remoteAddress}`), data: () => {} };
	const options = { hostname: "::", port: number, socket, ipv6Only: true };
	const listen = () => Bun.listen(options);
	const server = path ? withNetns(path, listen) : listen();
	return { [Symbol.dispose]: () => server.stop(true) };
}

/** In a namespace, or in this thread's. */
function run(path: string | undefined, ...command: string[]): string {
	const argv = path ? ["nsenter", `--net=${path}`, ...command] : command;
	const { exitCode, stdout, stderr } = Bun.spawnSync(argv);
	if (exitCode !== 0) throw new Error(`${argv.join(" ")}: ${stderr}`);
	return stdout.toString();
}

function linksOf(path: string): [string, boolean][] {
	return withNetns(path, () => {
		using socket = new RouteSocket();
		return listLinks(socket).map(({ name, up }) => [name, up]);
	});
}

function buildLan(): void {
	createNetns(lan, () => {});
	using socket = new RouteSocket();
	const netnsFd = openNetns(lan);
	socket.request(createVeth({ name: "lan", mtu: 1500, peer: { name: "eth0", netnsFd, mac: "02:00:00:00:00:03" } }));
	closePort(netnsFd);
	socket.request(addAddress(findLink(socket, "lan")?.index ?? 0, parseIpv4(LAN_HOST) ?? 0, 24));
	withNetns(lan, () => {
		using inside = new RouteSocket();
		const [own, gateway] = [parseIpv4(LAN_MACHINE) ?? 0, parseIpv4(LAN_HOST) ?? 0];
		inside.request(setUp(2), addAddress(2, own, 24), addDefaultRoute(2, gateway));
	});
}
