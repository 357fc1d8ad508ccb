import type { Action, Direction, Protocol } from "../../drivers/firewall/policy-model.ts";

export type { Action, Direction, Protocol };

/** A policy as it is kept: checked, with nothing left to be guessed. */
export interface Policy {
	readonly name: string;
	/** Whom it is about, beside the containers that name it in the label `foredeck.policy`. */
	readonly select?: Selector;
	/** What becomes of flows that no rule speaks of; a direction without default is open. */
	readonly default: { readonly egress?: Action; readonly ingress?: Action };
	readonly rules: readonly Rule[];
}

/** Sandboxes for which all of it holds; of a list, any entry. Texts may hold `*`. */
export interface Selector {
	readonly all?: true;
	readonly names?: readonly string[];
	readonly labels?: Readonly<Record<string, string>>;
	readonly networks?: readonly string[];
	/** Compose's */
	readonly projects?: readonly string[];
}

export interface Rule {
	readonly action: Action;
	readonly direction: Direction;
	/** Alternatives; empty: whoever. */
	readonly peers: readonly Peer[];
	/** Empty: every protocol, or tcp where ports are given. */
	readonly protocols: readonly Protocol[];
	/** `443`, `8000-8010` */
	readonly ports: readonly string[];
	readonly comment?: string;
}

/** The other end; `ports` in place of the rule's. */
export type Peer = { readonly ports?: readonly string[] } & (
	| { readonly kind: "cidr"; readonly cidr: string; readonly except: readonly string[] }
	| { readonly kind: "sandboxes"; readonly select: Selector }
	/** `api.example.org`, or `*.example.org` for every name below it. */
	| { readonly kind: "name"; readonly name: string }
	/** The machine itself. */
	| { readonly kind: "host" }
);

/** What policies know of a sandbox. */
export interface Subject {
	readonly id: string;
	readonly name: string;
	readonly labels: Readonly<Record<string, string>>;
	/** On bridges: where policies hold. */
	readonly endpoints: readonly SubjectEndpoint[];
	/** On networks whose packets the host's rules do not see. */
	readonly elsewhere?: readonly Elsewhere[];
}

export interface SubjectEndpoint {
	readonly network: string;
	readonly bridge: string;
	/** Of each family one at most. */
	readonly addresses: readonly string[];
	/** The host's own on this network. */
	readonly gateways?: readonly string[];
	/** The host's end of its cable. */
	readonly link: string;
}

/** `host` for the host's own network, `macvlan`. */
export interface Elsewhere {
	readonly network: string;
	readonly driver: string;
	readonly addresses: readonly string[];
}

/** Containers name policies here, with commas between. */
export const POLICY_LABEL = "foredeck.policy";
export const PROJECT_LABEL = "com.docker.compose.project";
