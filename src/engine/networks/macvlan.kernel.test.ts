import { afterAll, afterEach, beforeAll, expect, test } from "bun:test";
import { findLink, listLinks } from "../../sys/linux/link.ts";
import { RouteSocket } from "../../sys/linux/netlink.ts";
import { withNetns } from "../../sys/linux/netns.ts";
import { ask, OUTSIDE, serveTcp } from "../../sys/linux/testing/outside-host.ts";
import { poolsOf, TestNetworks } from "../../testing/network-host.ts";

/** The parent is the host's wire. Of its network other machines have the addresses below .64. */
const POOL = { Subnet: "198.51.100.0/24", IPRange: "198.51.100.64/26", Gateway: OUTSIDE };
let lab: TestNetworks;

beforeAll(async () => {
	lab = new TestNetworks({ instance: "tm", network: { driver: "macvlan", ipam: poolsOf(POOL) } });
	await lab.start();
});

afterAll(() => lab.end());

afterEach(async () => {
	await lab.clear();
	// The parent is the host's own, and stays.
	using socket = new RouteSocket();
	expect(findLink(socket, "wire")?.up).toBe(true);
});

const onWire = (mode?: string) => ({ options: { parent: "wire", ...(mode && { macvlan_mode: mode }) } });

test("members are on the parent's wire: reached by their own addresses, and by each other, with no interface on the host", async () => {
	await lab.create("lan", onWire());
	const before = hostLinks();
	const [a, b] = [await lab.on("a", "lan"), await lab.on("b", "lan")];
	expect([a.address, b.address]).toEqual(["198.51.100.64", "198.51.100.65"]);
	expect(hostLinks()).toEqual(before);
	using _a = serveTcp(a.path, 80, "a");
	using _out = serveTcp(lab.outside, 7000, "outside");
	expect(await ask(lab.outside, a.address, 80)).toBe(`a;${OUTSIDE}`);
	expect(await ask(b.path, a.address, 80)).toBe(`a;${b.address}`);
	expect(await ask(a.path, OUTSIDE, 7000)).toBe(`outside;${a.address}`);
	expect(a.settings.endpoints[0]).toMatchObject({ gateway: OUTSIDE, link: "eth0", hostLink: "" });
});

test("in mode private members do not know each other", async () => {
	await lab.create("lonely", onWire("private"));
	const [a, b] = [await lab.on("a", "lonely"), await lab.on("b", "lonely")];
	using _a = serveTcp(a.path, 80, "a");
	expect(await ask(b.path, a.address, 80)).toBe("closed");
	expect(await ask(lab.outside, a.address, 80)).toStartWith("a;");
});

test("mode passthru has the wire for itself", async () => {
	await lab.create("own", onWire("passthru"));
	const text = "is already using parent interface wire in mode passthru";
	expect(lab.create("more", { ...onWire(), ipam: poolsOf({ Subnet: "10.9.0.0/24" }) })).rejects.toThrow(text);
	await lab.networks.remove("own");
	await lab.create("shared", onWire());
	const other = { ...onWire("passthru"), ipam: poolsOf({ Subnet: "10.9.0.0/24" }) };
	expect(lab.create("own", other)).rejects.toThrow("cannot use mode passthru, macvlan network");
});

test.each([
	["loopback interface is not a valid macvlan parent link", { parent: "lo" }],
	["invalid subinterface vlan name nope0, example formatting is eth0.10", { parent: "nope0" }],
	["vlan id must be between 1-4094, received: 5000", { parent: "wire.5000" }],
	["requested macvlan mode 'xx' is not valid", { parent: "wire", macvlan_mode: "xx" }],
	["parent interface was not found on the host", { parent: "nope0.10" }],
])("a network is refused and nothing is left of it: %s", async (text, options) => {
	const before = hostLinks();
	expect(lab.create("no", { options })).rejects.toThrow(text);
	expect(lab.networks.list().some(({ name }) => name === "no")).toBe(false);
	expect(hostLinks()).toEqual(before);
});

/** What the kernel has not is refused by name; what it has is made, and gone with the network. */
test.each([
	["vlan", { parent: "wire.10" }, "wire.10"],
	["dummy", {}, "dm-"],
])("a parent of kind %s is the network's own", async (kind, options, name) => {
	const before = hostLinks();
	const made = await lab.create("own", { options, internal: kind === "dummy" }).catch((error: Error) => error);
	if (made instanceof Error) {
		expect(made.message).toContain(`cannot create ${kind} interface`);
		expect(made.message).toContain("operation not supported by this kernel");
	} else {
		expect(hostLinks().some((one) => one.startsWith(name))).toBe(true);
		await lab.networks.remove("own");
		await gone(name);
	}
	expect(hostLinks()).toEqual(before);
});

test("a wire may carry several subnets: addresses come from the first that has any left, each with its own gateway", async () => {
	const pools = poolsOf({ Subnet: "10.61.0.0/30" }, { Subnet: "10.62.0.0/24", Gateway: "10.62.0.9" });
	await lab.create("two", { ...onWire(), ipam: pools });
	const [a, b] = [await lab.on("a", "two"), await lab.on("b", "two")];
	const c = await lab.on("c", "two", { address: "10.62.0.77" });
	const shown = ({ settings: { endpoints } }: typeof a) =>
		endpoints.map(({ ipAddress, prefixLength, gateway }) => `${ipAddress}/${prefixLength} ${gateway}`);
	expect([a, b, c].flatMap(shown)).toEqual([
		"10.61.0.2/30 10.61.0.1",
		"10.62.0.1/24 10.62.0.9",
		"10.62.0.77/24 10.62.0.9",
	]);
	const { stdout } = Bun.spawnSync(["nsenter", `--net=${b.path}`, "ip", "route", "show", "default"]);
	expect(stdout.toString()).toStartWith("default via 10.62.0.9 ");
	await expect(lab.create("clash", { ipam: poolsOf({ Subnet: "10.62.0.0/25" }), driver: "bridge" })).rejects.toThrow(
		"overlaps",
	);
	await lab.start([...lab.joined].map(([containerId, settings]) => ({ containerId, settings })));
	await expect(lab.on("d", "two", { address: "10.62.0.77" })).rejects.toThrow("Address already in use");
});

test("a running sandbox comes to the wire and leaves it, and outlives a crash of the engine there", async () => {
	await lab.create("lan", onWire());
	await lab.create("blue", { driver: "bridge", ipam: { driver: "default", options: null, config: [] } });
	const a = await lab.on("a", "blue");
	using _a = serveTcp(a.path, 80, "a");
	const both = await lab.sandboxes.attach("a", { network: "lan", address: "198.51.100.77" });
	expect(both.endpoints.map(({ link }) => link)).toEqual(["eth0", "eth1"]);
	expect(await ask(lab.outside, "198.51.100.77", 80)).toStartWith("a;");
	await lab.start([{ containerId: "a", settings: both }]);
	expect(await ask(lab.outside, "198.51.100.77", 80)).toStartWith("a;");
	expect((await lab.on("b", "lan")).address).toBe("198.51.100.64");
	const left = await lab.sandboxes.detach("a", lab.networks.inspect("lan").id);
	expect(left?.endpoints).toHaveLength(1);
	expect(await ask(lab.outside, "198.51.100.77", 80)).toBe("closed");
	expect(withNetns(a.path, hostLinks).some((name) => name === "eth1")).toBe(false);
});

/** Of the calling thread's namespace. */
function hostLinks(): string[] {
	using socket = new RouteSocket();
	return listLinks(socket)
		.map(({ name }) => name)
		.toSorted();
}

/** A little after its network. */
async function gone(name: string): Promise<void> {
	for (let tries = 0; tries < 100 && hostLinks().some((one) => one.startsWith(name)); tries++) await Bun.sleep(50);
}
