import type {
	Direction,
	LearnedName,
	PeerMatch,
	PolicedSandbox,
	PolicyGroup,
	PolicyModel,
	PolicyRules,
	RuleMatch,
} from "./policy-model.ts";
import { tableNameOf, tableOf } from "./ruleset.ts";

/** What a new table takes over from the one before. */
export interface Carried {
	/** Packets and bytes by counter name. */
	readonly counters: ReadonlyMap<string, { readonly packets: number; readonly bytes: number }>;
	readonly names: readonly LearnedName[];
}

const DIRECTIONS = ["egress", "ingress"] as const;
/** Denied packets that are told of, per rule: a flood costs no more than this. */
const LOG_LIMIT = "limit rate 20/second burst 40 packets";

/**
 * The policies' part of the table, to follow `renderRuleset` in its transaction. A sandbox's packets are looked up by its address: those of others
 * pass one map. Policies stand before the other rules (lower priority) and can only take away: what they accept goes on to those.
 *
 * - group: deny rules of all its policies, then allow rules of all, then the default. What is established passes before.
 * - input, output: the same for what goes to and comes from the machine itself. Output is not asked for its interface: what has just been sent to a
 *   published port still bears the one from before.
 * - table bridge: nobody sends with another sandbox's address, and a sandbox with policies with none but its own; ct is not asked there, for
 *   the kernel may be without nf_conntrack_bridge: what passes inside a bridge comes to `forward` by br_netfilter.
 */
export function renderPolicies(instance: string, model: PolicyModel, carried: Carried): string {
	if (model.policies.length === 0) return "";
	return `table ${tableOf(instance)} {
${model.policies.map((policy) => countersOf(policy, carried)).join("")}${setsOf(model, carried)}${model.policies
	.map((policy) => chainsOf(policy, instance))
	.join("")}${model.groups.map(groupChain).join("")}${hooks()}}
${bridgeTable(instance, model.sandboxes)}`;
}

/** Commands that take the bridge table away; the other goes with the whole table. */
export function renderBridgeRemoval(instance: string): string {
	const table = bridgeTableOf(instance);
	return `table ${table}\ndelete table ${table}\n`;
}

/** Commands that lead from one model to the next where the policies are the same; undefined where the table must be written whole. */
export function renderPolicyChange(instance: string, before: PolicyModel, after: PolicyModel): string | undefined {
	if (before.policies.length === 0 && after.policies.length === 0) return "";
	if (JSON.stringify(before.policies) !== JSON.stringify(after.policies)) return undefined;
	const table = tableOf(instance);
	const known = new Set(before.groups.map(({ name }) => name));
	const wanted = new Set(after.groups.map(({ name }) => name));
	const fresh = after.groups.filter(({ name }) => !known.has(name));
	const stale = before.groups.filter(({ name }) => !wanted.has(name));
	const added = fresh.length > 0 ? `table ${table} {\n${fresh.map(groupChain).join("")}}\n` : "";
	const inet = [...changedSets(before, after)].map(([set, lists]) => elementChange(table, set, ...lists));
	const bridge = [...changedBridgeSets(before, after)].map(([set, lists]) =>
		elementChange(bridgeTableOf(instance), set, ...lists),
	);
	const removed = stale.map(({ name }) => `delete chain ${table} ${name}\n`);
	return added + inet.join("") + bridge.join("") + removed.join("");
}

/** Commands that add these addresses, or set their time anew. Older kernels keep the first time of an element that is there: it goes before. */
export function renderLearned(instance: string, names: readonly LearnedName[]): string {
	return names.map((name) => renderForgotten(instance, [name]) + addName(instance, name)).join("");
}

/** Commands that take these addresses out, there or not. */
export function renderForgotten(instance: string, names: readonly LearnedName[]): string {
	const table = tableOf(instance);
	return names
		.map(
			(name) =>
				`add element ${table} ${name.set} { ${pair(name)} }\ndelete element ${table} ${name.set} { ${pair(name)} }\n`,
		)
		.join("");
}

/** The group of packet log that denied packets are told to: one of the upper three quarters, by the instance's name. */
export function logGroupOf(instance: string): number {
	let hash = 0;
	for (const char of instance) hash = (hash * 31 + (char.codePointAt(0) ?? 0)) % 0xc000;
	return 0x4000 + hash;
}

function addName(instance: string, name: LearnedName): string {
	return `add element ${tableOf(instance)} ${name.set} { ${nameElement(name)} }\n`;
}

const pair = ({ local, remote }: LearnedName): string => `${local} . ${remote}`;
const nameElement = (name: LearnedName): string => `${pair(name)} timeout ${Math.max(1, Math.ceil(name.seconds))}s`;
const bridgeTableOf = (instance: string): string => `bridge ${tableNameOf(instance)}`;

/** `rule.web.0`, `default.web.egress` */
export function counterName(policy: string, rule: number | Direction): string {
	return typeof rule === "number" ? `rule.${policy}.${rule}` : `default.${policy}.${rule}`;
}

function countersOf({ name, rules, denies }: PolicyRules, { counters }: Carried): string {
	return [...rules.map(({ index }) => index), ...denies]
		.map((rule) => {
			const counter = counterName(name, rule);
			const { packets, bytes } = counters.get(counter) ?? { packets: 0, bytes: 0 };
			return `\tcounter ${counter} {\n\t\tpackets ${packets} bytes ${bytes}\n\t}\n`;
		})
		.join("");
}

function setsOf(model: PolicyModel, { names }: Carried): string {
	const peers = [...model.peers].map(([name, addresses]) => setText("set", name, "ipv4_addr", addresses));
	const learned = nameSets(model).map((set) => {
		const own = names.filter((name) => name.set === set).map(nameElement);
		return setText("set", set, "ipv4_addr . ipv4_addr", own, "timeout");
	});
	const maps = DIRECTIONS.map((direction) =>
		setText("map", `policed_${direction}`, "ipv4_addr : verdict", members(model.sandboxes, direction)),
	);
	return [...peers, ...learned, ...maps].join("");
}

function nameSets({ policies }: PolicyModel): string[] {
	const peers = policies.flatMap(({ rules }) => rules.flatMap((rule) => rule.peers));
	return [...new Set(peers.flatMap((peer) => (peer.kind === "name" ? [peer.set] : [])))];
}

function members(sandboxes: readonly PolicedSandbox[], direction: Direction): string[] {
	return sandboxes.flatMap((sandbox) => {
		const group = sandbox[direction];
		return group ? sandbox.addresses.map((address) => `${address} : goto ${group}`) : [];
	});
}

function setText(kind: "set" | "map", name: string, type: string, elements: readonly string[], flags?: string): string {
	const flagsLine = flags ? `\t\tflags ${flags}\n` : "";
	const line = elements.length > 0 ? `\t\telements = { ${elements.join(", ")} }\n` : "";
	return `\t${kind} ${name} {\n\t\ttype ${type}\n${flagsLine}${line}\t}\n`;
}

/** Of one policy and direction: a chain of denying rules, one of allowing ones, and one for each way to be denied. */
function chainsOf(policy: PolicyRules, instance: string): string {
	return DIRECTIONS.map((direction) => {
		const { name } = policy;
		const own = policy.rules.filter((rule) => rule.direction === direction);
		const denying = own.filter(({ action }) => action === "deny");
		const allowing = own.filter(({ action }) => action === "allow");
		const dropped = denying.map(({ index }) => dropChain(instance, name, index, direction));
		const fallback = policy.denies.includes(direction) ? dropChain(instance, name, direction, direction) : "";
		const deny = denying.flatMap((rule) => matches(rule).map((match) => `${match}goto drop.${name}.${rule.index}`));
		const allow = allowing.flatMap((rule) =>
			matches(rule).map((match) => `${match}counter name "${counterName(name, rule.index)}" accept`),
		);
		return `${dropped.join("")}${fallback}${chain(`deny.${name}.${direction}`, deny)}${chain(`allow.${name}.${direction}`, allow)}`;
	}).join("");
}

function dropChain(instance: string, policy: string, rule: number | Direction, direction: Direction): string {
	const log = `log prefix "${policy} ${rule} ${direction}" group ${logGroupOf(instance)} snaplen 64`;
	return chain(`drop.${policy}.${rule}`, [`${LOG_LIMIT} ${log}`, `counter name "${counterName(policy, rule)}" drop`]);
}

function groupChain({ name, direction, policies, deniedBy }: PolicyGroup): string {
	return chain(name, [
		...policies.map((policy) => `jump deny.${policy}.${direction}`),
		...policies.map((policy) => `jump allow.${policy}.${direction}`),
		deniedBy ? `goto drop.${deniedBy}.${direction}` : "accept",
	]);
}

function chain(name: string, rules: readonly string[]): string {
	return `\tchain ${name} {\n${rules.map((rule) => `\t\t${rule}\n`).join("")}\t}\n`;
}

/** What comes before the verdict: one text for each alternative, "" or with a blank at its end. */
function matches(rule: RuleMatch): string[] {
	const possible = rule.peers.filter((peer) => peer.kind !== "ranges" || peer.ranges.length > 0);
	const peers: readonly (PeerMatch | undefined)[] = rule.peers.length > 0 ? possible : [undefined];
	return peers.map((peer) => {
		const parts = [peer ? peerMatch(peer, rule.direction) : "", serviceMatch(rule, peer?.ports ?? rule.ports)];
		return parts.map((part) => (part === "" ? "" : `${part} `)).join("");
	});
}

/** Peers are on our bridges: from elsewhere, their addresses are forged. */
function peerMatch(peer: PeerMatch, direction: Direction): string {
	const remote = direction === "egress" ? "daddr" : "saddr";
	switch (peer.kind) {
		case "ranges":
			return `ip ${remote} { ${peer.ranges.join(", ")} }`;
		case "sandboxes":
			return `${direction === "egress" ? "oifname" : "iifname"} @bridges ip ${remote} @${peer.set}`;
		case "name":
			return direction === "egress" ? `ip saddr . ip daddr @${peer.set}` : `ip daddr . ip saddr @${peer.set}`;
		case "host":
			return `fib ${remote} type local`;
	}
}

function serviceMatch({ protocols }: RuleMatch, ports: readonly string[]): string {
	if (protocols.length === 0 && ports.length === 0) return "";
	// Ports alone are those of tcp.
	const known = protocols.length < 2 ? (protocols[0] ?? "tcp") : `{ ${protocols.join(", ")} }`;
	const wanted = ports.length === 1 ? ports.join() : `{ ${ports.join(", ")} }`;
	return ports.length === 0 ? `meta l4proto ${known}` : `meta l4proto ${known} th dport ${wanted}`;
}

function hooks(): string {
	return `	chain policy_egress {
		type filter hook forward priority filter - 20; policy accept;
		ct state established,related accept
		ip saddr vmap @policed_egress
	}
	chain policy_ingress {
		type filter hook forward priority filter - 10; policy accept;
		ct state established,related accept
		ip daddr vmap @policed_ingress
	}
	chain policy_egress_host {
		type filter hook input priority filter - 10; policy accept;
		iifname != @bridges accept
		ct state established,related accept
		ip saddr vmap @policed_egress
	}
	chain policy_ingress_host {
		type filter hook output priority filter - 10; policy accept;
		ct state established,related accept
		ip daddr vmap @policed_ingress
	}
`;
}

/** Ours are IPv4 networks: a sandbox with policies sends IPv4 and ARP, and nothing that the rules would not see. */
function bridgeTable(instance: string, sandboxes: readonly PolicedSandbox[]): string {
	const sets = [...bridgeSets(sandboxes)].map(([name, elements]) =>
		setText("set", name, BRIDGE_SETS[name] ?? "", elements),
	);
	return `table ${bridgeTableOf(instance)} {
${sets.join("")}	chain own {
		ether type ip iifname . ip saddr @own accept
		ether type arp iifname . arp saddr ip @own accept
		ether type arp arp saddr ip 0.0.0.0 accept
		drop
	}
	chain forged {
		type filter hook prerouting priority -300; policy accept;
		iifname @policed goto own
		iifname @links ip saddr @addresses iifname . ip saddr != @own drop
		iifname @links arp saddr ip @addresses iifname . arp saddr ip != @own drop
	}
}
`;
}

const BRIDGE_SETS: Readonly<Record<string, string>> = {
	links: "ifname",
	policed: "ifname",
	addresses: "ipv4_addr",
	own: "ifname . ipv4_addr",
};

/** Any address of a sandbox on any of its cables: which one it takes on its way out is its own affair. */
function bridgeSets(sandboxes: readonly PolicedSandbox[]): ReadonlyMap<string, readonly string[]> {
	const links = (some: readonly PolicedSandbox[]) =>
		some.flatMap((one) => one.links.map((link) => JSON.stringify(link)));
	const own = sandboxes.flatMap((one) =>
		one.links.flatMap((link) => one.addresses.map((address) => `${JSON.stringify(link)} . ${address}`)),
	);
	return new Map([
		["links", links(sandboxes)],
		["policed", links(sandboxes.filter(({ egress, ingress }) => egress || ingress))],
		["addresses", sandboxes.flatMap(({ addresses }) => addresses)],
		["own", own],
	]);
}

type Lists = readonly [before: readonly string[], after: readonly string[]];

function* changedSets(before: PolicyModel, after: PolicyModel): Iterable<[string, Lists]> {
	for (const [name, addresses] of after.peers) yield [name, [before.peers.get(name) ?? [], addresses]];
	for (const direction of DIRECTIONS) {
		yield [`policed_${direction}`, [members(before.sandboxes, direction), members(after.sandboxes, direction)]];
	}
}

function* changedBridgeSets(before: PolicyModel, after: PolicyModel): Iterable<[string, Lists]> {
	const old = bridgeSets(before.sandboxes);
	for (const [name, elements] of bridgeSets(after.sandboxes)) yield [name, [old.get(name) ?? [], elements]];
}

/** What goes, goes first: an address may have another group now. */
function elementChange(table: string, set: string, before: readonly string[], after: readonly string[]): string {
	const [old, wanted] = [new Set(before), new Set(after)];
	const gone = before.filter((element) => !wanted.has(element));
	const come = after.filter((element) => !old.has(element));
	const command = (verb: string, elements: readonly string[]) =>
		elements.length > 0 ? `${verb} element ${table} ${set} { ${elements.join(", ")} }\n` : "";
	return command("delete", gone) + command("add", come);
}
