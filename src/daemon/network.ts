import { join } from "node:path";
import { createForwarder } from "../dns/forward.ts";
import type { Handler } from "../dns/handlers.ts";
import { createSandboxResolver } from "../dns/sandbox-resolver.ts";
import { createDnsServer } from "../dns/server.ts";
import { NftFirewall } from "../drivers/firewall/nft.ts";
import type { ControlAddress } from "../drivers/firewall/ruleset.ts";
import { parseAddressPool } from "../drivers/ipam/configured.ts";
import { createIpamDriver } from "../drivers/ipam/pool.ts";
import { BridgeDriver } from "../drivers/network/bridge.ts";
import { createNamespaceDriver } from "../drivers/network/namespace.ts";
import { createPortRelay } from "../drivers/network/relay/client.ts";
import { relaySocket } from "../drivers/network/relay/protocol.ts";
import type { ContainerRecord } from "../engine/containers/record.ts";
import type { Events } from "../engine/events.ts";
import { createNameDirectory } from "../engine/names/directory.ts";
import { createHostResolvers } from "../engine/names/host-resolvers.ts";
import type { Networks } from "../engine/networks/contract.ts";
import { LiveNetworks } from "../engine/networks/live.ts";
import { createNetworks } from "../engine/networks/service.ts";
import type { Explanation, Policies } from "../engine/policy/contract.ts";
import type { Policy } from "../engine/policy/policy.ts";
import { PolicyService } from "../engine/policy/service.ts";
import type { Sandboxes } from "../engine/sandboxes/contract.ts";
import { createSandboxes } from "../engine/sandboxes/service.ts";
import type { NetworkInsight } from "../engine/topology/contract.ts";
import type { PolicyVerdict } from "../engine/topology/judge.ts";
import { HOST, INTERNET } from "../engine/topology/reach.ts";
import { createInsight } from "../engine/topology/service.ts";
import { isUp, ownerOf } from "../engine/topology/view.ts";
import { EngineError, messageOf } from "../shared/errors.ts";
import { parseIpv4 } from "../shared/ip.ts";
import type { Logger } from "../shared/log.ts";
import type { ContainerStore } from "../store/containers.ts";
import type { NetworkStore } from "../store/networks.ts";
import type { PolicyStore } from "../store/policies.ts";
import { withNetns } from "../sys/linux/netns.ts";
import { createNetworkObserver } from "./network-observer.ts";
import { type MasqueradedNetwork, watchWayOut } from "./network-watch.ts";
import type { DaemonOptions } from "./options.ts";
import { createProber } from "./probe.ts";
import { selfCommand } from "./self-command.ts";

const RESOLV_CONF = "/etc/resolv.conf";
/** The servers behind systemd-resolved's stub, which would ask us again. */
const BEHIND_STUB = "/run/systemd/resolve/resolv.conf";

export interface Network {
	readonly sandboxes: Sandboxes;
	readonly networks: Networks;
	/** How they are, as opposed to how they were asked for. */
	readonly insight: NetworkInsight;
	readonly policies: Policies;
	/** Begins to answer the host on `--dns`; "conflict" when the address is taken. */
	serveHost(): void;
	stopServing(): void;
}

/** Sandboxes with their resolver, and the host's. Names are read from the containers' records. */
export function buildNetwork(
	options: DaemonOptions,
	store: NetworkStore,
	policyStore: PolicyStore<Policy>,
	containers: ContainerStore<ContainerRecord>,
	events: Events,
	log: Logger,
): Network {
	const { domain, dns, instance, runRoot } = options;
	const directory = createNameDirectory({
		containers: () => containers.list(),
		revision: () => containers.revision,
		domain,
		networksOf: (id) => sandboxes.networksOf(id),
	});
	const forwardTo = (behindStub?: string) => {
		const resolvers = createHostResolvers({ path: RESOLV_CONF, own: dns, behindStub });
		return createForwarder({ upstreams: () => resolvers().nameservers });
	};
	const firewall = new NftFirewall(log);
	const policies = new PolicyService({
		instance,
		store: policyStore,
		firewall,
		members: () => sandboxes.members(),
		containerOf: (id) => factsOf(containers.get(id)),
		guests: () =>
			containers
				.list()
				.filter(isUp)
				.flatMap((one) => guestOf(one, containers.list())),
		log,
	});
	void followRenames(events, policies, log);
	const resolver = createSandboxResolver({
		withNetns,
		directory,
		forward: forwardTo(),
		forwardFor: ownForwarders((id) => containers.get(id)),
		domain,
		policies,
		log,
	});
	const driver = new BridgeDriver(log);
	const ipam = createIpamDriver(options.defaultAddressPools.flatMap((text) => parseAddressPool(text) ?? []));
	const live = new LiveNetworks({ instance, store, network: driver, ipam, modes: true, log });
	const sandboxes: Sandboxes = createSandboxes({
		instance,
		runRoot,
		store,
		live,
		resolver,
		namespaces: createNamespaceDriver(),
		network: driver,
		firewall,
		relay: createPortRelay(relaySocket(runRoot), log),
		policies,
		ipam,
		control: controlAddresses(options),
		nameOf: (id) => containers.get(id)?.name,
		log,
	});
	let server: { close(): void } | undefined;
	let wayOut: Disposable | undefined;
	return {
		sandboxes,
		policies,
		insight: createInsight({
			instance,
			containers,
			networks: () => sandboxes.networks().filter(({ config }) => !config?.configOnly),
			owned: () => sandboxes.owned(),
			leases: (networkId) => store.leases(networkId),
			probe: createProber(selfCommand()),
			observer: createNetworkObserver(instance, join(runRoot, "netns")),
			explain: (from, to, port) => policyVerdict(policies, from, port === undefined ? to : withPort(to, port)),
			policies: () => policies.reach(HOST, INTERNET),
		}),
		networks: createNetworks({
			store,
			live,
			ipam,
			sandboxes,
			events,
			hasIpv6: () => driver.hasIpv6(),
			hasBigTcp: () => driver.hasBigTcp(),
			knows: (kind) => driver.knows(kind),
			hasLink: (name) => driver.hasLink(name),
		}),
		serveHost() {
			wayOut = watchWayOut(() => masqueraded(live), log);
			server = createDnsServer({ ...dns, domain, directory, forward: forwardTo(BEHIND_STUB), log });
		},
		stopServing() {
			wayOut?.[Symbol.dispose]();
			server?.close();
			server = undefined;
			policies.close();
		},
	};
}

/** A container that has no network of its own: it is on the host's, or shares another's. */
function guestOf(record: ContainerRecord, all: readonly ContainerRecord[]) {
	const { id, name, config, hostConfig } = record;
	const guest = { id, name, labels: config.Labels };
	if (hostConfig.NetworkMode === "host") return [guest];
	const owner = ownerOf(record, all);
	return owner === record ? [] : [{ ...guest, owner: owner.id }];
}

function factsOf(record: ContainerRecord | undefined) {
	return record && { name: record.name, labels: record.config.Labels };
}

/** Policies select by name too. */
async function followRenames(events: Events, policies: PolicyService, log: Logger): Promise<void> {
	for await (const { Type, Action } of events.subscribe({}, new AbortController().signal)) {
		if (Type !== "container" || Action !== "rename") continue;
		try {
			policies.changed();
		} catch (error) {
			log.error("policies did not follow a rename", { error: messageOf(error) });
		}
	}
}

/** What the policies say of a flow to be checked; undefined when none is about it. */
function policyVerdict(policies: Pick<Policies, "explain">, from: string, to: string): PolicyVerdict | undefined {
	const { allowed, decisions } = explained(policies, from, to);
	const texts = decisions.flatMap(({ policy, rule, action, direction }) =>
		policy ? [`policy ${policy}, ${rule === undefined ? "default" : `rule ${rule}`}: ${action} ${direction}`] : [],
	);
	return texts.length === 0 ? undefined : { decision: allowed ? "allow" : "deny", text: texts.join("; ") };
}

/** Policies know nothing of sandboxes that are on no bridge. */
function explained(
	policies: Pick<Policies, "explain">,
	from: string,
	to: string,
): Pick<Explanation, "allowed" | "decisions"> {
	try {
		return policies.explain(from, to);
	} catch (error) {
		if (!(error instanceof EngineError) || error.code !== "not-found") throw error;
		return { allowed: true, decisions: [] };
	}
}

function withPort(to: string, port: number): string {
	return to.includes(":") ? `[${to}]:${port}` : `${to}:${port}`;
}

function masqueraded(live: LiveNetworks): MasqueradedNetwork[] {
	return live
		.rules()
		.flatMap(({ bridge, subnet, masquerade, ipv6 }) => [
			...(subnet && masquerade ? [{ bridge, subnet }] : []),
			...(ipv6?.masquerade ? [{ bridge, subnet: ipv6.subnet }] : []),
		]);
}

/** What containers must not reach of the engine itself: its API over TCP and the host's resolver; both are meant for the host. */
function controlAddresses({ hosts, dns }: DaemonOptions): ControlAddress[] {
	const tcp = hosts.flatMap((host) => {
		const url = host.startsWith("tcp://") ? new URL(host.replace(/^tcp:/, "http:")) : undefined;
		if (!url) return [];
		return [{ protocol: "tcp" as const, address: parseIpv4(url.hostname) ?? 0, port: Number(url.port || 2375) }];
	});
	const resolver = { address: parseIpv4(dns.address) ?? 0, port: dns.port };
	return [...tcp, { protocol: "tcp", ...resolver }, { protocol: "udp", ...resolver }];
}

/** Forwarders to the servers that containers name for themselves (`--dns`), one for each set of servers. */
function ownForwarders(recordOf: (id: string) => ContainerRecord | undefined): (id: string) => Handler | undefined {
	const known = new Map<string, Handler>();
	return (id) => {
		const servers = recordOf(id)?.hostConfig.Dns ?? [];
		if (servers.length === 0) return undefined;
		const key = servers.join(" ");
		const upstreams = servers.map((address) => ({ address, port: 53 }));
		const forwarder = known.get(key) ?? createForwarder({ upstreams: () => upstreams });
		if (!known.has(key) && known.size >= 64) known.clear();
		known.set(key, forwarder);
		return forwarder;
	};
}
