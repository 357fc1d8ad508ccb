import type { LearnedName } from "../../drivers/firewall/policy-model.ts";
import { EngineError } from "../../shared/errors.ts";
import { formatIp, parseIp } from "../../shared/ip.ts";
import type { Explanation } from "./contract.ts";
import { type Decision, decide, type Party, type Service } from "./decide.ts";
import { isNamed, nameSet } from "./names.ts";
import { parsePort, patternOf, splitPort } from "./parse-values.ts";
import type { Policy, Protocol, Subject } from "./policy.ts";
import { addressesOn, type Way, waysBetween } from "./ways.ts";

/** What an explanation is drawn from. */
export interface Known {
	readonly policies: readonly Policy[];
	readonly subjects: readonly Subject[];
	readonly learned: readonly LearnedName[];
	/** Addresses that were answered to a sandbox for a name of a rule. */
	answeredFor(containerId: string, name: string): readonly string[];
}

/** One end as it was asked for. */
export interface End extends Party {
	readonly label: string;
	/** A host name, whose address is as yet unknown. */
	readonly name?: string;
}

/** Contract: Policies.explain. */
export function explain(known: Known, fromText: string, toText: string): Explanation {
	const { target, ...service } = parseTarget(toText);
	const from = endOf(known, fromText);
	const to = endOf(known, target);
	const decisions = decisionsOf(known, from, to, service);
	return {
		from: from.label,
		to: to.label,
		...service,
		allowed: decisions.every(({ action }) => action === "allow"),
		decisions,
		notes: notesOf(known, from, to, service),
	};
}

/** Each way that a flow can take is judged by itself, as the kernel does; an end that decides alike for all is told once. */
export function decisionsOf(known: Known, from: End, to: End, service: Service): Explanation["decisions"] {
	const judged = waysBetween(known, from, to).map((way) => {
		const source: Party = { ...from, addresses: way.from };
		const goal: Party = { ...to, addresses: way.to };
		const decisions: Decision[] = [];
		if (from.subject && isHeld(from.subject)) {
			const seen = seenBy(known, from.subject, to, way);
			decisions.push(decide(known.policies, from.subject, "egress", { ...goal, names: seen }, service));
		}
		if (to.subject && isHeld(to.subject))
			decisions.push(decide(known.policies, to.subject, "ingress", source, service));
		return { over: way.over, decisions };
	});
	const [first] = judged;
	return (first?.decisions ?? []).flatMap((decision, end) => {
		const all = judged.flatMap(({ over, decisions }) => decisions.slice(end, end + 1).map((one) => ({ ...one, over })));
		const isSame = all.every(({ over: _, ...one }) => Bun.deepEquals(one, decision));
		return isSame ? [decision] : all;
	});
}

/** `db:5432`, `api.example.org:53/udp`, `10.0.0.1/icmp`; tcp where there is a port alone. */
export function parseTarget(text: string): { target: string; protocol?: Protocol; port?: number } {
	const [, place = "", protocol] = /^(.*?)(?:\/(\w+))?$/.exec(text.trim()) ?? [];
	const { target, port } = splitPort(place);
	if (target === "")
		throw new EngineError("invalid", `cannot explain ${JSON.stringify(text)}: allowed is TO[:PORT][/tcp|udp|icmp]`);
	if (protocol !== undefined && !isProtocol(protocol)) {
		throw new EngineError("invalid", `cannot explain protocol ${protocol}: allowed are tcp, udp, icmp`);
	}
	if (port === undefined) return { target, ...(protocol && { protocol }) };
	const number = Number(parsePort(port, "port"));
	if (Number.isNaN(number)) throw new EngineError("invalid", `cannot explain port ${port}: one port, not a range`);
	return { target, port: number, protocol: protocol ?? "tcp" };
}

function isProtocol(text: string): text is Protocol {
	return text === "tcp" || text === "udp" || text === "icmp";
}

/** A container by name or the beginning of its id, the host, an address, or a host name. */
function endOf({ subjects }: Known, text: string): End {
	const subject = subjects.find(({ name, id }) => name === text || id === text) ?? byPrefix(subjects, text);
	if (subject) return endOfSubject(subject);
	if (text === "host") return { label: text, host: true, addresses: [], names: [] };
	const address = parseIp(text);
	if (address !== undefined) {
		const own = formatIp(address);
		const owner = subjects.find((one) => allAddresses(one).includes(own));
		const label = owner ? `${text} (${owner.name})` : text;
		const host = subjects.some(({ endpoints }) => endpoints.some(({ gateways }) => gateways?.includes(own)));
		return { label, addresses: [own], names: [], ...(owner && { subject: owner }), ...(host && { host }) };
	}
	if (!text.includes(".")) {
		const names = subjects.map(({ name }) => name).join(", ") || "none";
		throw new EngineError(
			"not-found",
			`no running container ${text} on a bridge network: there are ${names}; or host, an address, a host name`,
		);
	}
	const name = patternOf(text, "target");
	return { label: name, addresses: [], names: [name], name };
}

export function endOfSubject(subject: Subject): End {
	return { label: subject.name, subject, addresses: allAddresses(subject), names: [] };
}

function allAddresses(subject: Subject): string[] {
	return [...addressesOn(subject), ...(subject.elsewhere ?? []).flatMap(({ addresses }) => addresses)];
}

function byPrefix(subjects: readonly Subject[], text: string): Subject | undefined {
	const found = /^[0-9a-f]{4,}$/.test(text) ? subjects.filter(({ id }) => id.startsWith(text)) : [];
	return found.length === 1 ? found[0] : undefined;
}

/** The names by which the sandbox knows the other end: what it was asked for by, or what our resolver has answered with its address. */
function seenBy(known: Known, subject: Subject, end: End, way: Way): readonly string[] {
	if (end.name !== undefined) return end.names;
	const own = new Set(addressesOn(subject));
	const sets = new Set(
		known.learned.filter(({ local, remote }) => own.has(local) && way.to.includes(remote)).map(({ set }) => set),
	);
	const patterns = known.policies.flatMap(({ rules }) =>
		rules.flatMap(({ peers }) => peers.flatMap((peer) => (peer.kind === "name" ? [peer.name] : []))),
	);
	return [...new Set(patterns)].filter((pattern) => sets.has(nameSet(pattern)));
}

function notesOf(known: Known, from: End, to: End, { port }: Service): string[] {
	const notes = [from, to].flatMap(({ subject }) => (subject ? beyondNotes(subject) : []));
	if (from.subject && to.subject && !sharesNetwork(from.subject, to.subject)) {
		notes.push("they have no network in common: only published ports are reached, whatever policies say");
	}
	if (from.subject && to.name !== undefined) {
		const { id } = from.subject;
		const addresses = known.answeredFor(id, to.name);
		if (addresses.length > 0) notes.push(`${to.name} was answered with ${addresses.join(", ")}`);
		else if (isRuled(known, to.name))
			notes.push(`${to.name} has not been resolved by ${from.label}: its addresses pass once it is`);
		else notes.push(`addresses of ${to.name} are not known: rules with networks were not considered`);
	}
	if (from.subject && !to.subject && !to.host && to.name === undefined && to.addresses.length > 0) {
		notes.push("rules with host names hold for addresses that the sandbox's own resolver has answered");
	}
	if (!from.subject && !to.subject) notes.push("neither end is a sandbox: no policy is about this");
	if (port !== undefined && to.subject && from.host !== true && !from.subject) {
		notes.push("from outside, published ports alone are reached: the port is the container's own");
	}
	return notes;
}

function beyondNotes({ name, elsewhere = [] }: Subject): string[] {
	return elsewhere.map(
		({ network, driver }) => `no policy is enforced on ${name} on network ${network} (driver ${driver})`,
	);
}

/** Whether policies are enforced on it. */
export function isHeld({ endpoints }: Subject): boolean {
	return endpoints.length > 0;
}

function sharesNetwork(a: Subject, b: Subject): boolean {
	return a.endpoints.some(({ network }) => b.endpoints.some((other) => other.network === network));
}

function isRuled({ policies }: Known, name: string): boolean {
	return policies.some(({ rules }) =>
		rules.some(({ peers }) => peers.some((peer) => peer.kind === "name" && isNamed(name, peer.name))),
	);
}
