import { createHash } from "node:crypto";
import type {
	Direction,
	PeerMatch,
	PolicedSandbox,
	PolicyGroup,
	PolicyModel,
	PolicyRules,
	RuleMatch,
} from "../../drivers/firewall/policy-model.ts";
import { NO_POLICIES } from "../../drivers/firewall/policy-model.ts";
import { nameSet } from "./names.ts";
import type { Peer, Policy, Rule, Subject } from "./policy.ts";
import { rangesOf } from "./ranges.ts";
import { peerSet, peerSets, policiesOf } from "./select.ts";

const DIRECTIONS: readonly Direction[] = ["egress", "ingress"];

/**
 * What the firewall is told of policies and of the sandboxes there are. A sandbox is under all policies that are about it: a deny rule of any of
 * them wins, then an allow rule of any, then a default of deny of any; what none speaks of is open.
 */
export function compile(policies: readonly Policy[], subjects: readonly Subject[]): PolicyModel {
	if (policies.length === 0) return NO_POLICIES;
	const groups = new Map<string, PolicyGroup>();
	const bridges = new Set<string>();
	const known = new Map<readonly Policy[], readonly PolicyGroup[]>();
	const groupsOf = (own: readonly Policy[]) => {
		const same = known.get(own) ?? DIRECTIONS.flatMap((direction) => groupOf(own, direction) ?? []);
		known.set(own, same);
		return same;
	};
	const onBridges = subjects.filter(({ endpoints }) => endpoints.length > 0);
	const sandboxes = onBridges.map((subject): PolicedSandbox => {
		const own = groupsOf(policiesOf(policies, subject));
		const addresses = subject.endpoints.flatMap((one) => one.addresses);
		const links = subject.endpoints.map(({ link }) => link);
		const named: { egress?: string; ingress?: string } = {};
		for (const group of own) {
			groups.set(group.name, group);
			named[group.direction] = group.name;
		}
		if (named.egress || named.ingress) for (const { bridge } of subject.endpoints) bridges.add(bridge);
		return { addresses, links, ...named };
	});
	return {
		policies: policies.map(rulesOf),
		groups: [...groups.values()].toSorted((a, b) => (a.name < b.name ? -1 : 1)),
		sandboxes,
		peers: peerSets(policies, subjects),
		bridges: [...bridges].toSorted(),
	};
}

/** The policies that have a say in this direction. */
function groupOf(policies: readonly Policy[], direction: Direction): PolicyGroup | undefined {
	const own = policies.filter((policy) => speaksOf(policy, direction));
	if (own.length === 0) return undefined;
	const names = own.map(({ name }) => name).toSorted();
	const hash = createHash("sha256").update(names.join(" ")).digest("hex").slice(0, 12);
	const denier = own.filter((policy) => policy.default[direction] === "deny").map(({ name }) => name);
	const [deniedBy] = denier.toSorted();
	return { name: `group.${hash}.${direction}`, direction, policies: names, ...(deniedBy && { deniedBy }) };
}

function speaksOf(policy: Policy, direction: Direction): boolean {
	return policy.default[direction] === "deny" || policy.rules.some((rule) => rule.direction === direction);
}

/** What has been drawn of a policy; one that changes is another object. */
const drawn = new WeakMap<Policy, PolicyRules>();

function rulesOf(policy: Policy): PolicyRules {
	const known = drawn.get(policy) ?? drawRules(policy);
	drawn.set(policy, known);
	return known;
}

function drawRules(policy: Policy): PolicyRules {
	return {
		name: policy.name,
		rules: policy.rules.map((rule, index) => matchOf(policy, rule, index)),
		denies: DIRECTIONS.filter((direction) => policy.default[direction] === "deny"),
	};
}

function matchOf(policy: Policy, rule: Rule, index: number): RuleMatch {
	const peers = rule.peers.map((peer, at) => peerOf(peer, peerSet(policy.name, index, at)));
	const { action, direction, protocols, ports } = rule;
	return { index, action, direction, peers, protocols, ports };
}

function peerOf(peer: Peer, set: string): PeerMatch {
	const ports = peer.ports && { ports: peer.ports };
	switch (peer.kind) {
		case "cidr":
			return { kind: "ranges", ranges: rangesOf(peer.cidr, peer.except), ...ports };
		case "sandboxes":
			return { kind: "sandboxes", set, ...ports };
		case "name":
			return { kind: "name", set: nameSet(peer.name), ...ports };
		case "host":
			return { kind: "host", ...ports };
	}
}
