import { expect, test } from "bun:test";
import type { NetworkRules } from "./ruleset.ts";
import { renderNetworkChange, tableParts } from "./ruleset-change.ts";

const first: NetworkRules = {
	bridge: "fd0",
	subnet: "172.17.0.0/16",
	internal: false,
	icc: true,
	masquerade: true,
	unprotected: false,
};
const second: NetworkRules = { ...first, bridge: "br-a", subnet: "172.18.0.0/16" };
const change = (before: readonly NetworkRules[], after: readonly NetworkRules[]) =>
	renderNetworkChange("fd", partsOf(before), partsOf(after));
const partsOf = (networks: readonly NetworkRules[]) => tableParts({ instance: "fd", networks });

test("a network comes and goes as elements of the sets it is in", () => {
	expect(change([first], [first, second])).toBe(`add element inet foredeck-fd bridges { "br-a" }
add element inet foredeck-fd inside { "br-a" . "br-a" }
add element inet foredeck-fd own { 172.18.0.0/16 . "br-a" }
add element inet foredeck-fd masqueraded { 172.18.0.0/16 }
`);
	expect(change([first, second], [first])).toBe(`delete element inet foredeck-fd bridges { "br-a" }
delete element inet foredeck-fd inside { "br-a" . "br-a" }
delete element inet foredeck-fd own { 172.18.0.0/16 . "br-a" }
delete element inet foredeck-fd masqueraded { 172.18.0.0/16 }
`);
});

test("of two that change places in one step the old one goes first", () => {
	const third = { ...second, bridge: "br-b", internal: true };
	expect(change([first, second], [third, first])).toBe(`delete element inet foredeck-fd bridges { "br-a" }
add element inet foredeck-fd bridges { "br-b" }
delete element inet foredeck-fd inside { "br-a" . "br-a" }
add element inet foredeck-fd inside { "br-b" . "br-b" }
add element inet foredeck-fd internal { "br-b" }
delete element inet foredeck-fd own { 172.18.0.0/16 . "br-a" }
add element inet foredeck-fd own { 172.18.0.0/16 . "br-b" }
delete element inet foredeck-fd masqueraded { 172.18.0.0/16 }
`);
});

test("nothing changed is nothing to do", () => {
	expect(change([first, second], [second, first])).toBe("");
});

test("the first network with IPv6, and the first and last outbound one, bring and take rules: no elements will do", () => {
	const six = { subnet: "fd00:6::/64", masquerade: true, unprotected: false, routed: false };
	const outbound = { ...second, outbound: { allowed: ["10.0.0.0/8"] } };
	expect(change([first], [first, { ...second, ipv6: six }])).toBeUndefined();
	expect(change([first], [first, outbound])).toBeUndefined();
	expect(change([first, outbound], [first])).toBeUndefined();
	const more = [
		{ ...first, ipv6: six },
		{ ...second, ipv6: { ...six, subnet: "fd00:7::/64" } },
	];
	expect(change(more.slice(0, 1), more)).toContain("add element inet foredeck-fd masqueraded6 { fd00:7::/64 }\n");
});
