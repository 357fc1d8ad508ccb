import { Database } from "bun:sqlite";
import { expect, test } from "bun:test";
import { type Cidr, parseCidr } from "../../shared/cidr.ts";
import { silentLogger } from "../../shared/log.ts";
import { familiesSchema, NetworkStore, networksSchema, userNetworksSchema } from "../../store/networks.ts";
import { bridgeSettings } from "./bridge-options.ts";
import { openModes, outboundOptions } from "./modes.ts";

function storeOf(): NetworkStore {
	const database = new Database(":memory:");
	database.exec(networksSchema + userNetworksSchema + familiesSchema);
	return new NetworkStore(database);
}

/** The modes of a host with these networks; what the modes have themselves is used too, as with the engine. */
function open(store: NetworkStore, ...host: string[]) {
	const used = (_link: string, name: string): Cidr[] => [
		...host.map(cidr),
		...store.networks().flatMap((row) => (row.name !== name && row.subnet ? [cidr(row.subnet)] : [])),
	];
	return openModes(store, "fd", used, silentLogger);
}

function cidr(text: string): Cidr {
	return parseCidr(text) ?? { base: 0, prefixLength: 32 };
}

test("the four modes are made once; outbound has 192.168.65.0/24", () => {
	const store = storeOf();
	const made = open(store);
	expect(made.map(({ name, driver, subnet, bridge }) => [name, driver, subnet, bridge])).toEqual([
		["disabled", "null", null, null],
		["loopback", "null", null, null],
		["outbound", "bridge", "192.168.65.0/24", "fd-out"],
		["full", "bridge", "192.168.66.0/24", "fd-full"],
	]);
	expect(made[2]?.config?.ipam.config).toEqual([{ Subnet: "192.168.65.0/24", Gateway: "192.168.65.1" }]);
	expect(open(store)).toEqual(made);
});

test("a subnet that the host uses is passed over; later it is left unless a container has an address in it", () => {
	const store = storeOf();
	expect(open(store, "192.168.64.0/23")[2]?.subnet).toBe("192.168.66.0/24");
	const [, , outbound] = open(store, "192.168.66.0/24");
	expect(outbound?.subnet).toBe("192.168.65.0/24");
	store.addLease({ containerId: "c", containerName: "c", networkId: outbound?.id ?? "", address: "192.168.65.2" });
	expect(open(store, "192.168.65.0/24")[2]).toMatchObject({ id: outbound?.id, subnet: "192.168.65.0/24" });
});

test("a network of the user's keeps its name, and that mode is not there", () => {
	const store = storeOf();
	const own = { name: "full", id: "f".repeat(64), driver: "bridge", created: "2026-01-01T00:00:00Z" } as const;
	const config = { internal: false, attachable: false, subnetAsked: false, labels: {}, options: {} };
	const ipam = { driver: "default", options: null, config: [] };
	store.putNetwork({ ...own, subnet: "172.20.0.0/16", bridge: "br-f", config: { ...config, ipam } });
	expect(open(store).map(({ name }) => name)).toEqual(["disabled", "loopback", "outbound"]);
	expect(store.network("full")).toMatchObject(own);
});

test("a network of the user's is outbound by an option, with holes into the LAN", () => {
	const options = { "foredeck.mode": "outbound", "foredeck.allow": "10.1.2.3, 10.0.0.0/8,192.168.1.9" };
	expect(bridgeSettings(options, false)).toMatchObject({
		icc: false,
		outbound: true,
		allowed: ["10.0.0.0/8", "192.168.1.9/32"],
	});
	expect(outboundOptions({ "foredeck.mode": "full" })).toEqual({ outbound: false, allowed: [] });
});

test.each<[string, Record<string, string>]>([
	["foredeck.mode=none: a bridge network is outbound or full", { "foredeck.mode": "none" }],
	["foredeck.allow: lan is no IPv4 network", { "foredeck.mode": "outbound", "foredeck.allow": "lan" }],
	["foredeck.allow: it needs foredeck.mode=outbound", { "foredeck.allow": "10.0.0.1" }],
])("an option is refused: %s", (text, options) => {
	expect(() => outboundOptions(options)).toThrow(text);
});
