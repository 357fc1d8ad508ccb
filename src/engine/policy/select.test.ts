import { expect, test } from "bun:test";
import { parsePolicies } from "./parse.ts";
import { POLICY_LABEL, type Selector, type Subject } from "./policy.ts";
import { isSubject, peerSets, policiesOf } from "./select.ts";
import { SelectorIndex } from "./selector-index.ts";
import { addressesOf, selects } from "./selects.ts";

function subject(id: string, more: Partial<Subject> = {}): Subject {
	const endpoints = [{ network: "front", bridge: "br", addresses: [`10.0.0.${id}`], link: `v${id}` }];
	return { id, name: `web-${id}`, labels: {}, endpoints, ...more };
}

const SELECTORS: readonly Selector[] = [
	{ all: true },
	{},
	{ names: ["web-1", "web-2"] },
	{ names: ["web-*"] },
	{ names: ["db-*", "web-1"] },
	{ labels: { tier: "front" } },
	{ labels: { tier: "f*", app: "a" } },
	{ labels: { tier: "*" } },
	{ networks: ["front", "back"] },
	{ networks: ["b*"], projects: ["shop"] },
	{ projects: ["shop"], labels: { tier: "front" } },
	{ projects: ["sh*"] },
];
const SUBJECTS = [
	subject("1", { labels: { tier: "front", app: "a", "com.docker.compose.project": "shop" } }),
	subject("2", { labels: { tier: "back" } }),
	subject("3", { elsewhere: [{ network: "back", driver: "macvlan", addresses: ["192.0.2.3"] }] }),
	subject("4", { name: "db-4", labels: { tier: "", "com.docker.compose.project": "shop" }, endpoints: [] }),
	subject("5", { name: "web-1 x", labels: { [POLICY_LABEL]: "p5, p7,none" } }),
];

test("an index finds just what asking each selector does, in their order", () => {
	const index = new SelectorIndex(SELECTORS.map((selector, at) => [selector, at]));
	for (const one of SUBJECTS) {
		const asked = SELECTORS.flatMap((selector, at) => (selects(selector, one) ? [at] : []));
		expect(index.of(one)).toEqual(asked);
	}
});

test("the policies about a sandbox are those of its label and of their selectors, and one list for all that have the same", () => {
	const policies = parsePolicies(
		SELECTORS.slice(2).map((select, at) => ({ name: `p${at + 2}`, select, default: { egress: "deny" } })),
	);
	for (const one of SUBJECTS) {
		expect(policiesOf(policies, one)).toEqual(policies.filter((policy) => isSubject(policy, one)));
	}
	const [first, twin] = [subject("8"), subject("9")];
	expect(policiesOf(policies, first).length).toBeGreaterThan(0);
	expect(policiesOf(policies, twin)).toBe(policiesOf(policies, first));
	expect(policiesOf([...policies].slice(1, 2), first)).toEqual([...policies].slice(1, 2));
});

test("sets of peers hold the addresses of whom a rule names, in the order of the sandboxes; those of nobody are empty", () => {
	const [policy] = parsePolicies([
		{
			name: "p",
			select: { all: true },
			rules: [
				{ action: "deny", to: [{ sandboxes: { networks: ["back"] } }, { sandboxes: { names: ["web-*"] } }] },
				{ action: "allow", to: [{ sandboxes: { networks: ["back"] } }] },
			],
		},
	]);
	if (!policy) throw new Error("no policy");
	const select = { names: ["web-*"] };
	expect([...peerSets([policy], SUBJECTS)]).toEqual([
		["peer.p.0.0", ["192.0.2.3"]],
		["peer.p.0.1", SUBJECTS.flatMap((one) => addressesOf(select, one, "deny"))],
		["peer.p.1.0", []],
	]);
});
