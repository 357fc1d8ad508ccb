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
