import type { PolicyModel } from "../../drivers/firewall/policy-model.ts";
import type { Decision } from "./decide.ts";
import type { DeniedFlow } from "./denied.ts";
import type { Direction, Elsewhere, Policy, Protocol, SubjectEndpoint } from "./policy.ts";
import type { AnsweredAddress } from "./resolver-view.ts";

/** The policies noun: what api asks. */
export interface Policies {
	/** By name. */
	list(): readonly PolicyStatus[];
	/** "not-found" in the words `no such policy: NAME`. */
	inspect(name: string): PolicyStatus;
	/** To be called before many are applied, so that this takes a moment alone; changes nothing that anybody sees. "conflict" as of `apply`. */
	prepare(policies: readonly Policy[]): Promise<void>;
	/** Keeps these policies, replaces those of their names, and makes the firewall so; `dryRun` only tells. All of them or none. Running flows: see settled(). */
	apply(policies: readonly Policy[], options: { dryRun: boolean }): readonly PolicyChange[];
	/** "conflict" while a running container names it in its label. */
	remove(name: string): void;
	/** Resolves when running flows that are denied by what has been changed so far have ended; many take a while. */
	settled(): Promise<void>;
	/** What becomes of a new flow. `to`: a container, `host`, an address or a host name, with `:PORT` and `/udp`, `/tcp` or `/icmp` behind. */
	explain(from: string, to: string): Explanation;
	denied(): readonly DeniedFlow[];
	followDenied(signal: AbortSignal): AsyncIterable<DeniedFlow>;
}

export interface PolicyStatus {
	readonly policy: Policy;
	/** Names of running containers that it is about. */
	readonly sandboxes: readonly string[];
	/** Those it is about and cannot be enforced on. */
	readonly unenforced: readonly Unenforced[];
	readonly counts: readonly { readonly rule: number | Direction; readonly packets: number; readonly bytes: number }[];
}

export interface PolicyChange {
	readonly name: string;
	readonly change: "created" | "updated" | "unchanged";
	readonly sandboxes: readonly string[];
	readonly unenforced: readonly Unenforced[];
}

/** Found by a dry run, and where a container was there or renamed before; otherwise neither is the policy applied nor the container started. */
export interface Unenforced {
	readonly container: string;
	/** `on the host's network`, for people */
	readonly why: string;
}

export interface Explanation {
	readonly from: string;
	readonly to: string;
	readonly protocol?: Protocol;
	readonly port?: number;
	readonly allowed: boolean;
	/** One for each end that is a sandbox; where the ways there (networks, families) differ, one for each way too, with `over` for which. */
	readonly decisions: readonly (Decision & { readonly over?: string })[];
	/** What else there is to know: networks in common, names not resolved. */
	readonly notes: readonly string[];
}

/** What sandboxes tell policies, and what they ask. */
export interface SandboxPolicies {
	/** For the sandboxes there are now. */
	model(): PolicyModel;
	/** A sandbox came, went, or is on other networks: the firewall follows before this returns. */
	changed(): void;
	/** Before a container starts or is connected: "invalid" when it names a policy that is not there, "conflict" when one is about it that cannot be enforced where it is going. */
	check(containerId: string, place: SandboxPlace): void;
}

/** Where a container is going to be. */
export interface SandboxPlace {
	/** On bridges; of their networks only the names are known before it is there. */
	readonly endpoints?: readonly SubjectEndpoint[];
	readonly elsewhere?: readonly Elsewhere[];
	/** Id of the container whose network it shares. */
	readonly owner?: string;
}

/** What the resolver of sandboxes tells policies, and what it asks. */
export interface NamePolicies {
	/** Whether this container may not ask others for this name (lower case). Logs it. */
	refuses(containerId: string, name: string): boolean;
	/** Whether what is answered for this name matters to a rule. */
	wants(containerId: string, name: string): boolean;
	/** To be called before the container has the answer: these addresses are what the name means to it from now on. */
	answered(containerId: string, name: string, addresses: readonly AnsweredAddress[]): void;
}
