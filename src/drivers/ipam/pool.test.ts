import { expect, test } from "bun:test";
import { formatCidr, parseCidr } from "../../shared/cidr.ts";
import { formatIpv4 } from "../../shared/ip.ts";
import { AddressLeases, chooseSubnet, DEFAULT_POOLS } from "./pool.ts";

const cidr = (text: string) => parseCidr(text) ?? { base: -1, prefixLength: -1 };

test("the first pool that overlaps nothing is chosen, in docker's order", () => {
	expect(formatCidr(chooseSubnet(DEFAULT_POOLS, []))).toBe("172.17.0.0/16");
	expect(formatCidr(chooseSubnet(DEFAULT_POOLS, [cidr("172.17.9.0/24"), cidr("172.18.0.1/32")]))).toBe("172.19.0.0/16");
	expect(formatCidr(chooseSubnet(DEFAULT_POOLS, [cidr("172.16.0.0/12")]))).toBe("192.168.0.0/20");
	expect(() => chooseSubnet(DEFAULT_POOLS, [cidr("0.0.0.0/0")])).toThrow("non-overlapping IPv4 address pool");
});

test("leases start at .2, end before broadcast and are told when full", () => {
	const leases = new AddressLeases(cidr("10.0.0.0/29"));
	const all = Array.from({ length: 5 }, () => formatIpv4(leases.allocate()));
	expect(all).toEqual(["10.0.0.2", "10.0.0.3", "10.0.0.4", "10.0.0.5", "10.0.0.6"]);
	expect(() => leases.allocate()).toThrow("no available IPv4 addresses");
});

test("a freed address comes back last, and is freed once", () => {
	const leases = new AddressLeases(cidr("10.0.0.0/29"));
	const first = leases.allocate();
	expect(leases.release(first)).toBe(true);
	expect(leases.release(first)).toBe(false);
	expect(formatIpv4(leases.allocate())).toBe("10.0.0.3");
	for (let i = 0; i < 3; i++) leases.allocate();
	expect(leases.allocate()).toBe(first);
});

test("an adopted address is not given out", () => {
	const leases = new AddressLeases(cidr("10.0.0.0/29"));
	expect(leases.take(cidr("10.0.0.2/32").base)).toBe(true);
	expect(leases.take(cidr("10.0.0.2/32").base)).toBe(false);
	expect(formatIpv4(leases.allocate())).toBe("10.0.0.3");
});

test("a range bounds what is given out; gateway and reserved addresses are not, nor taken on request", () => {
	const address = (text: string) => cidr(`${text}/32`).base;
	const plan = { gateway: address("10.0.0.9"), range: cidr("10.0.0.8/30"), reserved: [address("10.0.0.10")] };
	const leases = new AddressLeases(cidr("10.0.0.0/24"), plan);
	expect([formatIpv4(leases.allocate()), formatIpv4(leases.allocate())]).toEqual(["10.0.0.8", "10.0.0.11"]);
	expect(() => leases.allocate()).toThrow("no available IPv4 addresses on this network's address pools: 10.0.0.8/30");
	const wanted = ["10.0.0.0", "10.0.0.9", "10.0.0.10", "10.0.0.255", "10.0.0.200"];
	expect(wanted.map((text) => leases.take(address(text)))).toEqual([false, false, false, false, true]);
});

test("a /31 has a gateway and one address, a /32 nothing but a gateway", () => {
	const leases = new AddressLeases(cidr("10.0.0.0/31"));
	expect([leases.gateway, leases.allocate()].map(formatIpv4)).toEqual(["10.0.0.0", "10.0.0.1"]);
	expect(() => leases.allocate()).toThrow("no available IPv4 addresses");
	expect(() => new AddressLeases(cidr("10.0.0.0/32")).allocate()).toThrow("no available IPv4 addresses");
});
