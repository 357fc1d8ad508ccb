import type { LearnedName } from "../../drivers/firewall/policy-model.ts";
import { EngineError } from "../../shared/errors.ts";
import { parseIpv4 } from "../../shared/ip.ts";
import type { Explanation } from "./contract.ts";
import { decide, type Party, type Service } from "./decide.ts";
import { isNamed, nameSet } from "./names.ts";
import { parsePort, patternOf } from "./parse-values.ts";
import type { Policy, Protocol, Subject } from "./policy.ts";

/** What an explanation is drawn from. */
export interface Known {
	readonly policies: readonly Policy[];
	readonly subjects: readonly Subject[];
	readonly learned: readonly LearnedName[];
	/** Addresses that were answered to a sandbox for a name of a rule. */
	answeredFor(containerId: string, name: string): readonly string[];
}

interface End extends Party {
	readonly label: string;
	/** A host name, whose address is as yet unknown. */
	readonly name?: string;
}

/** Contract: Policies.explain. */
export function explain(known: Known, fromText: string, toText: string): Explanation {
	const { target, ...service } = parseTarget(toText);
	const from = endOf(known, fromText);
	const to = endOf(known, target);
	const decisions = [];
	if (from.subject)
		decisions.push(decide(known.policies, from.subject, "egress", seenBy(known, from.subject, to), service));
	if (to.subject) decisions.push(decide(known.policies, to.subject, "ingress", from, service));
	return {
		from: from.label,
		to: to.label,
		...service,
		allowed: decisions.every(({ action }) => action === "allow"),
		decisions,
		notes: notesOf(known, from, to, service),
	};
}

/** `db:5432`, `api.example.org:53/udp`, `10.0.0.1/icmp`; tcp where there is a port alone. */
export function parseTarget(text: string): { target: string } & Service {
	const [, target = "", port, protocol] = /^(.*?)(?::([^:/]*))?(?:\/(\w+))?$/.exec(text.trim()) ?? [];
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
	if (subject)
		return { label: subject.name, subject, addresses: subject.endpoints.map(({ address }) => address), names: [] };
	if (text === "host") return { label: text, host: true, addresses: [], names: [] };
	if (parseIpv4(text) !== undefined) {
		const owner = subjects.find(({ endpoints }) => endpoints.some(({ address }) => address === text));
		return {
			label: owner ? `${text} (${owner.name})` : text,
			addresses: [text],
			names: [],
			...(owner && { subject: owner }),
		};
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

function byPrefix(subjects: readonly Subject[], text: string): Subject | undefined {
	const found = /^[0-9a-f]{4,}$/.test(text) ? subjects.filter(({ id }) => id.startsWith(text)) : [];
	return found.length === 1 ? found[0] : undefined;
}

/** With what the sandbox's resolver has answered: addresses of a name, and the names that an address stands for. */
function seenBy(known: Known, subject: Subject, end: End): Party {
	if (end.name !== undefined) return { ...end, addresses: known.answeredFor(subject.id, end.name) };
	const own = new Set(subject.endpoints.map(({ address }) => address));
	const sets = new Set(
		known.learned.filter(({ local, remote }) => own.has(local) && end.addresses.includes(remote)).map(({ set }) => set),
	);
	const patterns = known.policies.flatMap(({ rules }) =>
		rules.flatMap(({ peers }) => peers.flatMap((peer) => (peer.kind === "name" ? [peer.name] : []))),
	);
	return { ...end, names: [...new Set(patterns)].filter((pattern) => sets.has(nameSet(pattern))) };
}

function notesOf(known: Known, from: End, to: End, { port }: Service): string[] {
	const notes: string[] = [];
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

function sharesNetwork(a: Subject, b: Subject): boolean {
	return a.endpoints.some(({ network }) => b.endpoints.some((other) => other.network === network));
}

function isRuled({ policies }: Known, name: string): boolean {
	return policies.some(({ rules }) =>
		rules.some(({ peers }) => peers.some((peer) => peer.kind === "name" && isNamed(name, peer.name))),
	);
}
