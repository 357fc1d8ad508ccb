import { expect, test } from "bun:test";
import { type Cidr6, formatCidr6, parseCidr6 } from "../../shared/cidr.ts";
import { formatIpv6, parseIpv6 } from "../../shared/ip.ts";
import { AddressLeases6, chooseSubnet6, ownSubnets, ulaOf } from "./pool6.ts";

const net = (text: string): Cidr6 => parseCidr6(text) ?? { base: -1n, prefixLength: -1 };
const address = (text: string) => parseIpv6(text) ?? -1n;

test("a seed has its own /48 of unique local addresses, and always the same", () => {
	expect(formatCidr6(ulaOf("a"))).toMatch(/^fd[0-9a-f]{2}:[0-9a-f]{1,4}:[0-9a-f]{1,4}::\/48$/);
	expect(ulaOf("a")).toEqual(ulaOf("a"));
	expect(ulaOf("a")).not.toEqual(ulaOf("b"));
});

test("subnets of a seed follow each other and pass over what is used", () => {
	const first = chooseSubnet6(ownSubnets("a"), []);
	expect(first).toEqual({ base: ulaOf("a").base, prefixLength: 64 });
	expect(chooseSubnet6(ownSubnets("a"), [first]).base - first.base).toBe(1n << 64n);
	expect(
		chooseSubnet6(ownSubnets("a"), [first, { base: first.base + (1n << 64n), prefixLength: 63 }]).base - first.base,
	).toBe(3n << 64n);
	expect(() => chooseSubnet6(ownSubnets("a"), [net("fd00::/8")])).toThrow("non-overlapping IPv6 address pool");
});

test("leases of a /64 start behind the gateway; a freed one comes back last and is freed once", () => {
	const leases = new AddressLeases6(net("fd00:1::/64"));
	expect(formatIpv6(leases.gateway)).toBe("fd00:1::1");
	const given = [leases.allocate(), leases.allocate()];
	expect(given.map(formatIpv6)).toEqual(["fd00:1::2", "fd00:1::3"]);
	expect([leases.release(address("fd00:1::2")), leases.release(address("fd00:1::2"))]).toEqual([true, false]);
	expect(formatIpv6(leases.allocate())).toBe("fd00:1::4");
});

test("a range is given out to its end and round again; gateway and reserved addresses are not", () => {
	const plan = { gateway: address("fd00::101"), range: net("fd00::100/126"), reserved: [address("fd00::102")] };
	const leases = new AddressLeases6(net("fd00::/64"), plan);
	expect([leases.allocate(), leases.allocate()].map(formatIpv6)).toEqual(["fd00::100", "fd00::103"]);
	expect(() => leases.allocate()).toThrow("no available IPv6 addresses on this network's address pools: fd00::100/126");
	const wanted = ["fd00::", "fd00::101", "fd00::102", "fd00::ffff:ffff:ffff:ffff", "fd00::9"];
	expect(wanted.map((text) => leases.take(address(text)))).toEqual([false, false, false, false, true]);
	leases.release(address("fd00::100"));
	expect(formatIpv6(leases.allocate())).toBe("fd00::100");
});

test("a /127 has a gateway and one address, a /128 nothing but a gateway", () => {
	const leases = new AddressLeases6(net("fd00::/127"));
	expect([leases.gateway, leases.allocate()].map(formatIpv6)).toEqual(["fd00::", "fd00::1"]);
	expect(() => leases.allocate()).toThrow("no available IPv6 addresses");
	expect(() => new AddressLeases6(net("fd00::/128")).allocate()).toThrow("no available IPv6 addresses");
});

test("a stretch of taken addresses is passed over, be it anywhere in a /64", () => {
	const leases = new AddressLeases6(net("fd00::/64"));
	for (let i = 2n; i < 50n; i++) leases.take(address("fd00::") + i);
	expect(formatIpv6(leases.allocate())).toBe("fd00::32");
});
