import { expect, test } from "bun:test";
import { type Cidr, formatCidr, formatCidr6, parseCidr, parseCidr6 } from "../../shared/cidr.ts";
import { parseAddressPool } from "./configured.ts";
import { createIpamDriver } from "./pool.ts";

const pools = (...texts: string[]) => texts.flatMap((text) => parseAddressPool(text) ?? []);
const cidr = (text: string) => parseCidr(text) ?? { base: -1, prefixLength: -1 };
const cidr6 = (text: string) => parseCidr6(text) ?? { base: -1n, prefixLength: -1 };

test("subnets come out of the configured pools in turn, and their end is told", () => {
	const ipam = createIpamDriver(pools("base=10.10.0.0/23,size=24", "base=10.20.0.0/16,size=16"));
	const used: Cidr[] = [];
	for (const wanted of ["10.10.0.0/24", "10.10.1.0/24", "10.20.0.0/16"]) {
		const subnet = ipam.chooseSubnet(used);
		expect(formatCidr(subnet)).toBe(wanted);
		used.push(subnet);
	}
	expect(() => ipam.chooseSubnet(used)).toThrow("non-overlapping IPv4 address pool among the defaults");
	expect(formatCidr(ipam.chooseSubnet([cidr("10.10.0.0/16")]))).toBe("10.20.0.0/16");
});

test("each family has its own pools, and docker's where none is configured", () => {
	const six = createIpamDriver(pools("base=fd77:1::/63,size=64"));
	expect(formatCidr(six.chooseSubnet([]))).toBe("172.17.0.0/16");
	expect(formatCidr6(six.chooseSubnet6("seed", []))).toBe("fd77:1::/64");
	expect(formatCidr6(six.chooseSubnet6("seed", [cidr6("fd77:1::/64")]))).toBe("fd77:1:0:1::/64");
	expect(() => six.chooseSubnet6("seed", [cidr6("fd77:1::/48")])).toThrow("non-overlapping IPv6 address pool");
	const four = createIpamDriver(pools("base=10.10.0.0/16,size=24"));
	expect(formatCidr6(four.chooseSubnet6("seed", []))).toStartWith("fd");
});

test("what is no pool is not read", () => {
	const wrong = [
		"10.10.0.0/16",
		"base=10.10.0.0/16",
		"base=10.10.0.0/16,size=8",
		"base=10.10.0.0/16,size=31",
		"size=24",
	];
	for (const text of [...wrong, "base=x,size=24", "base=fd00::/64,size=48", "base=10.0.0.0/8,size=24,more=1"]) {
		expect(parseAddressPool(text)).toBeUndefined();
	}
});

test("several pools are one book: the first's addresses first, each with its own gateway, all told when full", () => {
	const ipam = createIpamDriver();
	const [first, second] = [ipam.leases(cidr("10.0.0.0/30")), ipam.leases(cidr("10.0.1.0/30"))];
	const book = ipam.together(first, [second]);
	const [a, b] = [book.allocate(), book.allocate()];
	expect([a, b]).toEqual([cidr("10.0.0.2/32").base, cidr("10.0.1.2/32").base]);
	expect([book.poolOf(a).gateway, book.poolOf(b).gateway]).toEqual([first.gateway, second.gateway]);
	expect(() => book.allocate()).toThrow("no available IPv4 addresses");
	expect(book.take(b)).toBe(false);
	expect([book.release(b), book.release(b), book.take(b)]).toEqual([true, false, true]);
	expect([book.take(cidr("10.0.9.2/32").base), book.holds(cidr("10.0.1.1/32").base)]).toEqual([false, true]);
});
