import type { End, Known } from "./explain.ts";
import type { Subject, SubjectEndpoint } from "./policy.ts";

/** The addresses that a flow would have at its ends; none where they are not known. */
export interface Way {
	readonly from: readonly string[];
	readonly to: readonly string[];
	/** `IPv6 on front`, for people */
	readonly over: string;
}

/**
 * The ways by which a flow can go: over each network that both are on, in each family that both have there. Of what is not known there is one way, as
 * little known.
 */
export function waysBetween(known: Known, from: End, to: End): Way[] {
	const ways =
		from.subject && to.subject
			? between(from.subject, to.subject, from.addresses, to.addresses)
			: from.subject
				? outOf(from.subject, remotesOf(known, from.subject, to), to)
				: to.subject
					? outOf(to.subject, from.addresses, from).map((way) => ({ ...way, from: way.to, to: way.from }))
					: [];
	return ways.length > 0 ? ways : [{ from: from.addresses, to: to.addresses, over: "" }];
}

export function addressesOn({ endpoints }: Pick<Subject, "endpoints">): string[] {
	return endpoints.flatMap(({ addresses }) => addresses);
}

function between(from: Subject, to: Subject, own: readonly string[], others: readonly string[]): Way[] {
	const pairs = from.endpoints.flatMap((one) =>
		to.endpoints
			.filter(({ network }) => network === one.network)
			.flatMap((other) => pairsOf(one.addresses, other.addresses, one.network)),
	);
	const common = pairs.filter((way) => own.includes(way.from[0] ?? "") && others.includes(way.to[0] ?? ""));
	// Nothing but published ports leads there, from whichever address: the flow has the real ends all the same.
	return common.length > 0 ? common : pairsOf(own, others);
}

function outOf(subject: Subject, remotes: readonly string[], { host }: End): Way[] {
	if (host && remotes.length === 0)
		return subject.endpoints.flatMap((one) => pairsOf(one.addresses, one.gateways ?? [], one.network));
	return pairsOf(addressesOn(subject), remotes);
}

function remotesOf({ answeredFor }: Known, { id }: Subject, to: End): readonly string[] {
	return to.name === undefined ? to.addresses : answeredFor(id, to.name);
}

function pairsOf(own: readonly string[], others: readonly string[], network?: SubjectEndpoint["network"]): Way[] {
	return own.flatMap((one) =>
		others
			.filter((other) => isSix(one) === isSix(other))
			.map((other) => {
				const family = isSix(one) ? "IPv6" : "IPv4";
				const over = network === undefined ? `${family}, ${one} to ${other}` : `${family} on ${network}`;
				return { from: [one], to: [other], over };
			}),
	);
}

function isSix(address: string): boolean {
	return address.includes(":");
}
