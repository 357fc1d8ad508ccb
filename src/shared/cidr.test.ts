import { expect, test } from "bun:test";
import { contains, contains6, formatCidr, formatCidr6, overlaps, overlaps6, parseCidr, parseCidr6 } from "./cidr.ts";
import { formatIpv4, formatIpv6, ipv6Bytes, ipv6OfBytes, parseIpv4, parseIpv6 } from "./ip.ts";
import { macBytes, macOfIpv4 } from "./mac.ts";

const cidr = (text: string) => parseCidr(text) ?? { base: -1, prefixLength: -1 };

test("addresses read and write back, malformed ones do not", () => {
	for (const text of ["0.0.0.0", "172.17.0.2", "255.255.255.255"]) expect(formatIpv4(parseIpv4(text) ?? 7)).toBe(text);
	for (const text of ["", "1.2.3", "1.2.3.256", "01.2.3.4", "1.2.3.4.5", "::1", "1.2.3.x"])
		expect(parseIpv4(text)).toBeUndefined();
});

test("a network loses its host bits", () => {
	expect(formatCidr(cidr("192.168.17.9/20"))).toBe("192.168.16.0/20");
	expect(formatCidr(cidr("1.2.3.4/0"))).toBe("0.0.0.0/0");
	expect(parseCidr("1.2.3.4/33")).toBeUndefined();
	expect(parseCidr("1.2.3.4")).toBeUndefined();
});

test("overlap is either one inside the other", () => {
	expect(overlaps(cidr("172.17.0.0/16"), cidr("172.17.5.0/24"))).toBe(true);
	expect(overlaps(cidr("172.17.5.0/24"), cidr("172.16.0.0/12"))).toBe(true);
	expect(overlaps(cidr("172.17.0.0/16"), cidr("172.18.0.0/16"))).toBe(false);
	expect(contains(cidr("10.0.0.0/8"), parseIpv4("11.0.0.0") ?? 0)).toBe(false);
});

test("a MAC holds the address", () => {
	expect(macOfIpv4(parseIpv4("172.17.0.2") ?? 0)).toBe("02:42:ac:11:00:02");
	expect([...macBytes("02:42:ac:11:00:02")]).toEqual([2, 0x42, 0xac, 0x11, 0, 2]);
	expect(() => macBytes("02:42")).toThrow("cannot read MAC address");
});

test("IPv6 addresses are read in all their spellings and written in one", () => {
	const spellings = [
		["::", "::"],
		["::1", "::1"],
		["fd00:0:0:1::", "fd00:0:0:1::"],
		["FD00:0000::0001", "fd00::1"],
		["1:0:0:2:0:0:0:3", "1:0:0:2::3"],
		["1:0:0:2:3:0:0:4", "1::2:3:0:0:4"],
		["1:2:3:4:5:6:0:8", "1:2:3:4:5:6:0:8"],
		["::ffff:10.0.0.1", "::ffff:10.0.0.1"],
		["64:ff9b::1.2.3.4", "64:ff9b::102:304"],
	];
	for (const [text = "", written = ""] of spellings) expect(formatIpv6(parseIpv6(text) ?? -1n)).toBe(written);
	const wrong = [
		"",
		":",
		":::",
		"1::2::3",
		"1:2:3",
		"1:2:3:4:5:6:7:8:9",
		"g::",
		"12345::",
		"fe80::1%eth0",
		"1.2.3.4",
		"1.2.3.4::",
	];
	expect(wrong.map(parseIpv6)).toEqual(wrong.map(() => undefined));
	expect(ipv6OfBytes(ipv6Bytes(parseIpv6("fd00:1::ffee") ?? 0n))).toBe(parseIpv6("fd00:1::ffee") ?? -1n);
});

test("IPv6 networks contain and overlap as IPv4 ones do", () => {
	const net = (text: string) => parseCidr6(text) ?? { base: -1n, prefixLength: -1 };
	expect(formatCidr6(net("fd00:1:2:3::99/64"))).toBe("fd00:1:2:3::/64");
	expect(formatCidr6(net("fd00::1/0"))).toBe("::/0");
	expect([parseCidr6("fd00::/129"), parseCidr6("10.0.0.0/8"), parseCidr6("fd00::")]).toEqual([
		undefined,
		undefined,
		undefined,
	]);
	expect(contains6(net("fd00::/64"), parseIpv6("fd00::ffff:ffff:ffff:ffff") ?? 0n)).toBe(true);
	expect(contains6(net("fd00::/64"), parseIpv6("fd00:0:0:1::") ?? 0n)).toBe(false);
	expect([
		overlaps6(net("fd00::/48"), net("fd00:0:0:7::/64")),
		overlaps6(net("fd00::/64"), net("fd00:0:0:1::/64")),
	]).toEqual([true, false]);
});
