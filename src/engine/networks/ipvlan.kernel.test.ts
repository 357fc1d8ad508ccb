import { afterAll, afterEach, beforeAll, expect, test } from "bun:test";
import { findLink, knowsLinkKind } from "../../sys/linux/link.ts";
import { RouteSocket } from "../../sys/linux/netlink.ts";
import { withNetns } from "../../sys/linux/netns.ts";
import { listRoutes } from "../../sys/linux/route.ts";
import { ask, OUTSIDE, serveTcp } from "../../sys/linux/testing/outside-host.ts";
import { poolsOf, TestNetworks } from "../../testing/network-host.ts";

/** The parent is the host's wire. Of its network other machines have the addresses below .64. */
const POOL = { Subnet: "198.51.100.0/24", IPRange: "198.51.100.64/26", Gateway: OUTSIDE };
let lab: TestNetworks;

function withSocket<T>(work: (socket: RouteSocket) => T): T {
	using socket = new RouteSocket();
	return work(socket);
}

/** Few test machines have it; `scripts/vm-trial` runs these on Debian's kernel, which has. */
const hasIpvlan = withSocket((socket) => knowsLinkKind(socket, "ipvlan"));
const kernelTest = test.skipIf(!hasIpvlan);

beforeAll(async () => {
	lab = new TestNetworks({ instance: "ti", network: { driver: "ipvlan", ipam: poolsOf(POOL) } });
	await lab.start();
});

afterAll(() => lab.end());

afterEach(() => lab.clear());

const onWire = (mode?: string, flag?: string) => ({
	options: { parent: "wire", ...(mode && { ipvlan_mode: mode }), ...(flag && { ipvlan_flag: flag }) },
});

test.skipIf(hasIpvlan)("a kernel without ipvlan: said when the network is created, and nothing is left", async () => {
	await expect(lab.create("lan", onWire())).rejects.toThrow("cannot create network lan: this kernel has no ipvlan");
	expect(lab.networks.list().some(({ name }) => name === "lan")).toBe(false);
});

kernelTest(
	"mode l2: members are on the parent's wire with its MAC, reached by each other and by other machines",
	async () => {
		await lab.create("lan", onWire());
		const [a, b] = [await lab.on("a", "lan"), await lab.on("b", "lan")];
		expect([a.address, b.address]).toEqual(["198.51.100.64", "198.51.100.65"]);
		using _a = serveTcp(a.path, 80, "a");
		using _out = serveTcp(lab.outside, 7000, "outside");
		expect(await ask(lab.outside, a.address, 80)).toBe(`a;${OUTSIDE}`);
		expect(await ask(b.path, a.address, 80)).toBe(`a;${b.address}`);
		expect(await ask(a.path, OUTSIDE, 7000)).toBe(`outside;${a.address}`);
		expect(a.settings.endpoints[0]).toMatchObject({ gateway: OUTSIDE, link: "eth0", hostLink: "", macAddress: "" });
		const macs = [
			withSocket((socket) => findLink(socket, "wire")?.mac),
			withNetns(a.path, () => withSocket((socket) => findLink(socket, "eth0")?.mac)),
		];
		expect(macs[0]).toBe(macs[1] ?? "");
	},
);

kernelTest.each(["l3", "l3s"])(
	"mode %s: members of several subnets reach each other straight out of their interface",
	async (mode) => {
		const ipam = poolsOf({ Subnet: "10.7.1.0/24" }, { Subnet: "10.7.2.0/24" }, { Subnet: "fd07::/64" });
		await lab.create("routed", { ...onWire(mode), ipam, enableIpv6: true });
		const a = await lab.on("a", "routed");
		const b = await lab.on("b", "routed", { address: "10.7.2.9" });
		// No address is kept for a gateway.
		expect([a.address, b.address]).toEqual(["10.7.1.1", "10.7.2.9"]);
		expect(a.settings.endpoints[0]?.gateway).toBeUndefined();
		using _a = serveTcp(a.path, 80, "a");
		expect(await ask(b.path, a.address, 80)).toBe(`a;${b.address}`);
		const routes = withNetns(a.path, () => withSocket(listRoutes));
		expect(routes.some(({ prefixLength }) => prefixLength === 24)).toBe(true);
	},
);

kernelTest("flag private keeps members apart; internal ones have no way out", async () => {
	await lab.create("lonely", onWire("l2", "private"));
	const [a, b] = [await lab.on("a", "lonely"), await lab.on("b", "lonely")];
	using _a = serveTcp(a.path, 80, "a");
	expect(await ask(b.path, a.address, 80)).toBe("closed");
	expect(await ask(lab.outside, a.address, 80)).toStartWith("a;");
	await lab.clear();
	await lab.create("inner", { ...onWire(), internal: true, ipam: poolsOf({ Subnet: "10.7.1.0/24" }) });
	const inner = await lab.on("inner", "inner");
	expect(inner.address).toBe("10.7.1.1");
	using _out = serveTcp(lab.outside, 7000, "outside");
	expect(await ask(inner.path, OUTSIDE, 7000)).toBe("closed");
});

kernelTest("a wire is of one network; MACs are nobody's choice; members outlive the engine", async () => {
	await lab.create("lan", onWire());
	const second = { ...onWire("l3"), ipam: poolsOf({ Subnet: "10.9.0.0/24" }) };
	await expect(lab.create("more", second)).rejects.toThrow("is already using parent interface wire");
	const mac = lab.on("m", "lan", { macAddress: "02:42:00:00:00:09" });
	await expect(mac).rejects.toThrow("ipvlan interfaces do not support custom mac address assignment");
	const { settings, path, address } = await lab.on("a", "lan");
	await lab.start([{ containerId: "a", settings }]);
	using _a = serveTcp(path, 80, "a");
	expect(await ask(lab.outside, address, 80)).toStartWith("a;");
	await lab.sandboxes.leave("a");
	lab.joined.delete("a");
	expect((await lab.on("b", "lan")).address).toBe("198.51.100.64");
});
