import { createForwarder } from "../dns/forward.ts";
import { createSandboxResolver } from "../dns/sandbox-resolver.ts";
import { createDnsServer } from "../dns/server.ts";
import { NftFirewall } from "../drivers/firewall/nft.ts";
import { createIpamDriver } from "../drivers/ipam/pool.ts";
import { BridgeDriver } from "../drivers/network/bridge.ts";
import { createNamespaceDriver } from "../drivers/network/namespace.ts";
import type { ContainerRecord } from "../engine/containers/record.ts";
import { createNameDirectory } from "../engine/names/directory.ts";
import { createHostResolvers } from "../engine/names/host-resolvers.ts";
import type { Sandboxes } from "../engine/sandboxes/contract.ts";
import { createSandboxes } from "../engine/sandboxes/service.ts";
import type { Logger } from "../shared/log.ts";
import type { ContainerStore } from "../store/containers.ts";
import type { NetworkStore } from "../store/networks.ts";
import { withNetns } from "../sys/linux/netns.ts";
import type { DaemonOptions } from "./options.ts";

const RESOLV_CONF = "/etc/resolv.conf";
/** The servers behind systemd-resolved's stub, which would ask us again. */
const BEHIND_STUB = "/run/systemd/resolve/resolv.conf";

export interface Network {
	readonly sandboxes: Sandboxes;
	/** Begins to answer the host on `--dns`; "conflict" when the address is taken. */
	serveHost(): void;
	stopServing(): void;
}

/** Sandboxes with their resolver, and the host's. Names are read from the containers' records. */
export function buildNetwork(
	options: DaemonOptions,
	store: NetworkStore,
	containers: ContainerStore<ContainerRecord>,
	log: Logger,
): Network {
	const { domain, dns, instance, runRoot } = options;
	const directory = createNameDirectory({
		containers: () => containers.list(),
		revision: () => containers.revision,
		domain,
	});
	const forwardTo = (behindStub?: string) => {
		const resolvers = createHostResolvers({ path: RESOLV_CONF, own: dns, behindStub });
		return createForwarder({ upstreams: () => resolvers().nameservers });
	};
	const resolver = createSandboxResolver({ withNetns, directory, forward: forwardTo(), domain, log });
	const sandboxes = createSandboxes({
		instance,
		runRoot,
		store,
		resolver,
		namespaces: createNamespaceDriver(),
		network: new BridgeDriver(log),
		firewall: new NftFirewall(log),
		ipam: createIpamDriver(),
		nameOf: (id) => containers.get(id)?.name,
		log,
	});
	let server: { close(): void } | undefined;
	return {
		sandboxes,
		serveHost() {
			server = createDnsServer({ ...dns, domain, directory, forward: forwardTo(BEHIND_STUB), log });
		},
		stopServing() {
			server?.close();
			server = undefined;
		},
	};
}
