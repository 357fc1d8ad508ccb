import { expect, test } from "bun:test";
import { parsePolicies } from "./parse.ts";
import { policySchema } from "./schema.ts";

const refused = (document: unknown) => {
	try {
		parsePolicies(document);
	} catch (error) {
		return error instanceof Error ? error.message : String(error);
	}
	return "taken";
};
const rule = (more: object) => ({ name: "a", rules: [{ action: "allow", ...more }] });

test("a policy with everything comes out checked, with nothing left to be guessed", () => {
	const document = {
		name: "web-egress",
		select: { names: ["web-*"], labels: { tier: "front" }, networks: ["front"], projects: ["shop"] },
		default: { egress: "deny", ingress: "allow" },
		rules: [
			{
				action: "allow",
				to: ["API.example.org.:443", "*.example.org", "10.0.0.0/8", "192.0.2.1:8000-8010", "host:53"],
			},
			{ action: "deny", to: [{ cidr: "10.0.0.0/8", except: ["10.1.0.0/16"] }], ports: [443, "80-90", 85, "91"] },
			{
				action: "allow",
				from: [{ sandboxes: { all: true } }],
				ports: 53,
				protocols: ["udp", "tcp", "udp"],
				comment: "names",
			},
			{ action: "deny", direction: "ingress", protocols: ["icmp"] },
		],
	};
	const [policy] = parsePolicies(document);
	expect(policy).toEqual({
		name: "web-egress",
		select: document.select,
		default: { egress: "deny", ingress: "allow" },
		rules: [
			{
				action: "allow",
				direction: "egress",
				peers: [
					{ kind: "name", name: "api.example.org", ports: ["443"] },
					{ kind: "name", name: "*.example.org" },
					{ kind: "cidr", cidr: "10.0.0.0/8", except: [] },
					{ kind: "cidr", cidr: "192.0.2.1/32", except: [], ports: ["8000-8010"] },
					{ kind: "host", ports: ["53"] },
				],
				protocols: [],
				ports: [],
			},
			{
				action: "deny",
				direction: "egress",
				peers: [{ kind: "cidr", cidr: "10.0.0.0/8", except: ["10.1.0.0/16"] }],
				protocols: [],
				ports: ["80-91", "443"],
			},
			{
				action: "allow",
				direction: "ingress",
				peers: [{ kind: "sandboxes", select: { all: true } }],
				protocols: ["udp", "tcp"],
				ports: ["53"],
				comment: "names",
			},
			{ action: "deny", direction: "ingress", peers: [], protocols: ["icmp"], ports: [] },
		],
	} as never);
});

test("what is wrong is named by its place, with what stands there and what may", () => {
	const cases: [unknown, string][] = [
		["text", 'policy is "text": allowed: an object with name, select, default, rules'],
		[{ name: "a", rule: [] }, "unknown field rule: allowed are name, select, default, rules"],
		[{ name: "a.b" }, 'name is "a.b": allowed: 1 to 40 letters, digits, _ and -, the first a letter or digit'],
		[{ name: "a", default: { egress: "drop" } }, 'default.egress is "drop": allowed: allow, deny'],
		[{ name: "a", select: {} }, 'select is "{}": allowed: all: true, or one of names, labels, networks, projects'],
		[
			{ name: "a", select: { name: "web" } },
			"unknown field select.name: allowed are all, names, labels, networks, projects",
		],
		[{ name: "a", rules: [{ to: ["host"] }] }, "rules[0].action is missing: allowed: allow, deny"],
		[rule({}), "rules[0].direction is missing: allowed: egress, ingress"],
		[rule({ to: ["host"], from: ["host"] }), "one of them: a rule has one direction"],
		[
			rule({ to: ["host"], direction: "ingress" }),
			'rules[0].direction is "ingress": allowed: egress, as the rule says to',
		],
		[rule({ to: [] }), "rules[0].to is []: allowed: at least one entry, or no list at all"],
		[
			rule({ to: ["10.0.0.0/33"] }),
			'rules[0].to[0] is "10.0.0.0/33": allowed: a network such as 10.0.0.0/8 or 2001:db8::/32',
		],
		[rule({ to: ["2001:db8::/129"] }), 'rules[0].to[0] is "2001:db8::/129": allowed: a network'],
		[rule({ to: ["::ffff:10.0.0.0/104"] }), "allowed: a network such as 10.0.0.0/8"],
		[
			rule({ to: [{ cidr: "2001:db8::/32", except: ["10.0.0.1"] }] }),
			'rules[0].to[0].except[0] is "10.0.0.1": allowed: a part of 2001:db8::/32',
		],
		[rule({ to: ["a..b"] }), 'rules[0].to[0] is "a..b": allowed: a host name such as api.example.org'],
		[rule({ to: ["a*.example.org"] }), "allowed: a host name such as api.example.org, or *.example.org"],
		[rule({ to: [{ cidr: "10.0.0.0/8", name: "x" }] }), "one of cidr, sandboxes, name, host"],
		[rule({ to: ["host"], ports: [70_000] }), "rules[0].ports[0] is 70000: allowed: a port from 1 to 65535"],
		[rule({ to: ["host"], ports: ["90-80"] }), 'rules[0].ports[0] is "90-80"'],
		[rule({ to: ["a.b:1"], ports: [2] }), "ports here or beside the peers, not both"],
		[rule({ to: ["a.b:1"], protocols: ["icmp"] }), "tcp or udp, for there are ports"],
		[rule({ to: ["host"], protocols: ["sctp"] }), 'rules[0].protocols[0] is "sctp": allowed: tcp, udp, icmp'],
		[rule({ from: ["a.example.org"] }), "names are known of what sandboxes reach"],
		[[{ name: "a" }, { name: "a" }], '[1].name is "a": allowed: each name once'],
		[{ policies: [{ name: "a" }, { name: "b", x: 1 }] }, "unknown field policies[1].x"],
		[{ policies: [], x: 1 }, "unknown field x: allowed are policies"],
		[[], "policies is 0: allowed: 1 to 256 policies"],
	];
	for (const [document, text] of cases) expect(refused(document)).toContain(text);
});

test("networks of IPv6 stand alone, or in brackets before a port", () => {
	const short = [
		"2001:DB8::1",
		"[2001:db8::1]:443",
		"2001:db8:0:0::/64",
		"[2001:db8::/32]:8000-8010",
		"fe80::/10",
		"::/0",
	];
	const [policy] = parsePolicies(rule({ to: short }));
	const cidr = (text: string, ...ports: string[]) => ({
		kind: "cidr",
		cidr: text,
		except: [],
		...(ports.length > 0 && { ports }),
	});
	expect(policy?.rules[0]?.peers).toEqual([
		cidr("2001:db8::1/128"),
		cidr("2001:db8::1/128", "443"),
		cidr("2001:db8::/64"),
		cidr("2001:db8::/32", "8000-8010"),
		cidr("fe80::/10"),
		cidr("::/0"),
	] as never);
});

test("the published schema knows the fields that are taken, and no others", () => {
	const { policy } = policySchema.$defs;
	const unknown = (document: unknown) => /allowed are (.*)$/.exec(refused(document))?.[1]?.split(", ");
	expect(Object.keys(policy.properties)).toEqual(unknown({ name: "a", x: 1 }) ?? []);
	expect(Object.keys(policy.properties.select.properties)).toEqual(unknown({ name: "a", select: { x: 1 } }) ?? []);
	const known = unknown(rule({ to: ["host"], x: 1 }))?.toSorted();
	expect(Object.keys(policy.properties.rules.items.properties).toSorted()).toEqual(known ?? []);
	const [, peer] = policy.properties.rules.items.properties.to.items.anyOf;
	expect(Object.keys(peer?.properties ?? {})).toEqual(unknown(rule({ to: [{ x: 1 }] })) ?? []);
});
