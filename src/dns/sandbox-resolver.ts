import type { NameDirectory } from "../engine/names/contract.ts";
import type { NamePolicies } from "../engine/policy/contract.ts";
import type { SandboxResolver } from "../engine/sandboxes/contract.ts";
import type { Logger } from "../shared/log.ts";
import { limited } from "./forward.ts";
import {
	type Handler,
	insideOnlyHandler,
	protocolHandler,
	reverseHandler,
	sandboxNameHandler,
	zoneHandler,
} from "./handlers.ts";
import { policyHandler, policyObserver } from "./policy.ts";
import { createResponder } from "./responder.ts";
import { openDnsSockets } from "./sockets.ts";

export interface SandboxResolverOptions {
	/** Runs `fn` inside the namespace, synchronously, and comes back. */
	readonly withNetns: <T>(path: string, fn: () => T) => T;
	readonly directory: NameDirectory;
	readonly forward: Handler;
	/** Another way out for a container that names servers of its own. */
	readonly forwardFor?: (containerId: string) => Handler | undefined;
	/** fd.local */
	readonly domain: string;
	readonly policies?: NamePolicies;
	readonly log: Logger;
}

/** One sandbox's share of what the forwarder has under way at once. */
const FORWARDED_AT_ONCE = 128;
/** Docker's address of the resolver inside every sandbox. */
export const SANDBOX_DNS_ADDRESS = "127.0.0.11";

/** Sockets live in the sandbox's namespace, everything asked of others leaves from the namespace of the daemon. Close them, or they keep the namespace alive. */
export function createSandboxResolver(options: SandboxResolverOptions): SandboxResolver {
	const { withNetns, directory, domain, policies, log } = options;
	return {
		listen(netnsPath, containerId) {
			const lookup = (label: string) => {
				const id = containerId();
				return directory.fromSandbox(id, label) ?? (directory.mayAskHost(id) ? directory.fromHost(label) : undefined);
			};
			const handlers = [
				protocolHandler,
				zoneHandler(domain, lookup),
				sandboxNameHandler(directory, containerId),
				reverseHandler(directory, containerId),
				insideOnlyHandler(directory, containerId),
				...(policies ? [policyHandler(policies, containerId)] : []),
				limited(forwardHandler(options, containerId), FORWARDED_AT_ONCE),
			];
			const respond = createResponder(handlers, log, policies && policyObserver(policies, containerId));
			return withNetns(netnsPath, () => openDnsSockets(SANDBOX_DNS_ADDRESS, 0, respond));
		},
	};
}

function forwardHandler(
	{ forward, forwardFor }: SandboxResolverOptions,
	containerId: () => string | undefined,
): Handler {
	return {
		answer(query) {
			const id = containerId();
			return ((id && forwardFor?.(id)) || forward).answer(query);
		},
	};
}
