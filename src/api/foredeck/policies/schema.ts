import type { Explanation, PolicyChange, PolicyStatus } from "../../../engine/policy/contract.ts";
import type { DeniedFlow } from "../../../engine/policy/denied.ts";
import type { PolicyDocument } from "./view.ts";

/** Reply of `GET /foredeck/v1/policies` (a list) and `GET /foredeck/v1/policies/NAME`. */
export interface PolicyReply extends Omit<PolicyStatus, "policy"> {
	/** As it is written in a file. */
	readonly policy: PolicyDocument;
}

/** Reply of `POST /foredeck/v1/policies?dryRun=`. */
export type PolicyChangeReply = readonly PolicyChange[];

/** Reply of `GET /foredeck/v1/policy-decision?from=&to=`. */
export type ExplanationReply = Explanation;

/** Each line of `GET /foredeck/v1/denied-flows?follow=`; a flow that goes on is told again, with its new count. */
export type DeniedFlowReply = DeniedFlow;
