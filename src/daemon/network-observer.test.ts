import { expect, test } from "bun:test";
import { forwardsIn, relaysIn } from "./network-observer.ts";

test("a map's elements are read as nft prints them", () => {
	const listing = `table inet foredeck-fd {
	map published {
		type inet_proto . inet_service : ipv4_addr . inet_service
		elements = { tcp . 8080 : 172.17.0.2 . 80,
			     udp . 53 : 172.17.0.3 . 5353 }
	}
}`;
	expect(forwardsIn(listing)).toEqual([
		["tcp . 8080", "172.17.0.2 . 80"],
		["udp . 53", "172.17.0.3 . 5353"],
	]);
	const six = "set relayed_at {\n\t\telements = { 2001:db8::1 . udp . 53,\n\t\t\t     ::1 . tcp . 80 }\n}";
	expect(relaysIn(six).map(([key]) => key)).toEqual(["2001:db8::1 . udp . 53", "::1 . tcp . 80"]);
	expect(relaysIn("set relayed {\n\ttype x\n}")).toEqual([]);
	expect(forwardsIn("map published {\n\ttype x\n}")).toEqual([]);
});
