import { expect, test } from "bun:test";
import { contains, formatCidr, overlaps, parseCidr } from "./cidr.ts";
import { formatIpv4, parseIpv4 } from "./ip.ts";
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
