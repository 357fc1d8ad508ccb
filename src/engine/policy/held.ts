import { EngineError } from "../../shared/errors.ts";
import { POLICY_LABEL, type Policy, type Subject } from "./policy.ts";
import { isSubject, policiesOf } from "./select.ts";

/** A container and where it is, as far as it matters whether policies can hold there. */
export interface Candidate extends Subject {
	/** The container whose network it shares. */
	readonly owner?: Candidate;
}

/** A policy that is about a container and cannot be enforced on it. */
export interface Hole {
	readonly policy: string;
	readonly container: string;
	/** `on the host's network`, for people */
	readonly why: string;
}

/**
 * Where policies would not hold: what a container in the host's network sends is the host's, and macvlan endpoints are on a wire that the host's rules do
 * not see. A container that shares another's network is under that one's policies, and its own mean nothing.
 */
export function holesOf(policies: readonly Policy[], candidate: Candidate): Hole[] {
	const about = policiesOf(policies, candidate);
	const { owner, name } = candidate;
	const beyond = whereBeyond(candidate);
	if (beyond !== undefined) return about.map((policy) => ({ policy: policy.name, container: name, why: beyond }));
	if (!owner) return [];
	const loose = about.filter((policy) => !isSubject(policy, owner));
	const why = `in the network of ${owner.name}, which the policy is not about`;
	return loose.map((policy) => ({ policy: policy.name, container: name, why }));
}

/** "conflict" telling of the first hole, and what can be done about it. */
export function refuseHoles(doing: string, [hole]: readonly Hole[]): void {
	if (!hole) return;
	const { policy, container, why } = hole;
	const advice = `use a bridge network, or change what the policy selects (its select, or label ${POLICY_LABEL})`;
	throw new EngineError(
		"conflict",
		`${doing}: policy ${policy} is about container ${container}, and cannot be enforced ${why}: ${advice}`,
	);
}

function whereBeyond({ elsewhere = [], owner }: Candidate): string | undefined {
	const [first] = elsewhere.length > 0 ? elsewhere : (owner?.elsewhere ?? []);
	if (!first) return undefined;
	return first.driver === "host" ? "on the host's network" : `on network ${first.network} (driver ${first.driver})`;
}
