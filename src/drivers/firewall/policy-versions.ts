import type { PeerMatch, PolicyGroup, PolicyModel, PolicyRules } from "./policy-model.ts";

/**
 * A policy that has changed stands beside its old self for a while, under another name in the kernel: `lock`, then `lock/3`. What stands is never
 * rewritten, so that its rules can come before anything leads to them and go when nothing does any more.
 */
export function versionName(policy: string, version: number): string {
	return version === 0 ? policy : `${policy}/${version}`;
}

/** `lock` of `lock/3` */
export function plainName(name: string): string {
	return name.replace(/\/\d+$/, "");
}

/** 3 of `lock/3`; 0 of `lock` */
export function versionOf(name: string): number {
	return Number(/\/(\d+)$/.exec(name)?.[1] ?? 0);
}

/** The same model with the names that its policies, their groups and sets have in the kernel. */
export function renamed(model: PolicyModel, names: ReadonlyMap<string, string>): PolicyModel {
	if ([...names].every(([plain, name]) => plain === name)) return model;
	const nameOf = (policy: string) => names.get(policy) ?? policy;
	const setOf = (set: string) => {
		const [kind = "", policy = "", ...rest] = set.split(".");
		return [kind, nameOf(policy), ...rest].join(".");
	};
	const peerOf = (peer: PeerMatch): PeerMatch => (peer.kind === "sandboxes" ? { ...peer, set: setOf(peer.set) } : peer);
	const policyOf = (policy: PolicyRules): PolicyRules => {
		const name = nameOf(policy.name);
		if (name === policy.name) return policy;
		return { ...policy, name, rules: policy.rules.map((rule) => ({ ...rule, peers: rule.peers.map(peerOf) })) };
	};
	// Versions only grow: the newest tells groups of the same policies apart.
	const groupNames = new Map(
		model.groups.map(({ name, policies }) => {
			const newest = Math.max(0, ...policies.map((policy) => versionOf(nameOf(policy))));
			return [name, versionName(name, newest)];
		}),
	);
	const groupOf = (group: PolicyGroup): PolicyGroup => ({
		...group,
		name: groupNames.get(group.name) ?? group.name,
		policies: group.policies.map(nameOf),
		...(group.deniedBy !== undefined && { deniedBy: nameOf(group.deniedBy) }),
	});
	return {
		...model,
		policies: model.policies.map(policyOf),
		groups: model.groups.map(groupOf),
		sandboxes: model.sandboxes.map((one) => ({
			...one,
			...(one.egress && { egress: groupNames.get(one.egress) ?? one.egress }),
			...(one.ingress && { ingress: groupNames.get(one.ingress) ?? one.ingress }),
		})),
		peers: new Map([...model.peers].map(([set, addresses]) => [setOf(set), addresses])),
	};
}

/** Whether two say the same, name and all. */
export function isSameRules(one: PolicyRules, other: PolicyRules): boolean {
	return one === other || JSON.stringify(one) === JSON.stringify(other);
}
