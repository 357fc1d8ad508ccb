import { Database } from "bun:sqlite";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createForwarder } from "../dns/forward.ts";
import { createSandboxResolver } from "../dns/sandbox-resolver.ts";
import { NftFirewall } from "../drivers/firewall/nft.ts";
import { createIpamDriver } from "../drivers/ipam/pool.ts";
import { BridgeDriver } from "../drivers/network/bridge.ts";
import { createNamespaceDriver } from "../drivers/network/namespace.ts";
import { createPortRelay } from "../drivers/network/relay/client.ts";
import { relaySocket } from "../drivers/network/relay/protocol.ts";
import { serveRelay } from "../drivers/network/relay/server.ts";
import type { NetworkSettings } from "../engine/containers/record.ts";
import { createEventBus } from "../engine/event-bus.ts";
import type { NetworkRequest } from "../engine/networks/contract.ts";
import { LiveNetworks } from "../engine/networks/live.ts";
import { createNetworks } from "../engine/networks/service.ts";
import type { PolicyChange } from "../engine/policy/contract.ts";
import { parsePolicies } from "../engine/policy/parse.ts";
import type { Policy } from "../engine/policy/policy.ts";
import { type PoliciesOptions, PolicyService } from "../engine/policy/service.ts";
import type { EndpointRequest, PortRequest, Sandboxes } from "../engine/sandboxes/contract.ts";
import { createSandboxes } from "../engine/sandboxes/service.ts";
import { parseIpv4, parseIpv6 } from "../shared/ip.ts";
import { silentLogger } from "../shared/log.ts";
import * as networkStore from "../store/networks.ts";
import { PolicyStore, policiesSchema, unsettledSchema } from "../store/policies.ts";
import { addAddress, addAddress6 } from "../sys/linux/address.ts";
import { check, libc } from "../sys/linux/libc.ts";
import { findLink } from "../sys/linux/link.ts";
import { RouteSocket } from "../sys/linux/netlink.ts";
import { openNetns, removeNetns, withNetns } from "../sys/linux/netns.ts";
import { Nftables } from "../sys/linux/nftables.ts";
import { closePort } from "../sys/linux/port-socket.ts";
import { addDefaultRoute } from "../sys/linux/route.ts";
import { buildOutside, OUTSIDE } from "../sys/linux/testing/outside-host.ts";

export const HOST6 = "2001:db8:1::1";
export const OUTSIDE6 = "2001:db8:1::2";

/** A container as the tests have it: its namespace, and its first network's addresses. */
export interface Guest {
	readonly path: string;
	readonly address: string;
	readonly address6: string;
}

/** A host for tests of policies: a fresh namespace with the firewall, networks and policies of one engine; `outside` is the internet, on a wire. */
export class PolicyHost {
	readonly root = mkdtempSync(join(tmpdir(), `foredeck-policy-${process.pid}-`));
	readonly outside = join(this.root, "outside");
	readonly facts = new Map<string, { name: string; labels: Record<string, string> }>();
	readonly joined = new Map<string, NetworkSettings>();
	/** What the log was warned of. */
	readonly warned: string[] = [];
	guests: ReturnType<PoliciesOptions["guests"]> = [];
	private readonly database = new Database(":memory:");
	private readonly store: networkStore.NetworkStore;
	private readonly home = openNetns("/proc/thread-self/ns/net");
	private readonly relay: { close(): void };
	private running: { sandboxes: Sandboxes; policies: PolicyService; live: LiveNetworks } | undefined;

	/** @param addresses more of them outside, of either family */
	constructor(addresses: readonly string[] = []) {
		check(libc.unshare(0x40000000), "unshare --net");
		buildOutside(this.outside);
		addWire6("wire", HOST6);
		withNetns(this.outside, () => {
			addWire6("eth0", OUTSIDE6);
			using inside = new RouteSocket();
			inside.request(addDefaultRoute(2, parseIpv6(HOST6) ?? 0n));
			for (const text of addresses) {
				const [four, six] = [parseIpv4(text), parseIpv6(text)];
				inside.request(six === undefined ? addAddress(2, four ?? 0, 24) : addAddress6(2, six, 64));
			}
		});
		this.database.run("PRAGMA foreign_keys = ON");
		for (const name of ["networksSchema", "userNetworksSchema", "familiesSchema"]) {
			const schema: unknown = Object.entries(networkStore).find(([key]) => key === name)?.[1];
			if (typeof schema === "string") this.database.exec(schema);
		}
		this.database.exec(policiesSchema + unsettledSchema);
		this.store = new networkStore.NetworkStore(this.database);
		this.relay = serveRelay(relaySocket(this.root), silentLogger);
	}

	get sandboxes(): Sandboxes {
		return this.must().sandboxes;
	}

	get policies(): PolicyService {
		return this.must().policies;
	}

	/** The engine's part; again after `stop`, with the containers that are there. */
	async start(): Promise<void> {
		const [network, ipam, log] = [new BridgeDriver(silentLogger), createIpamDriver(), silentLogger];
		const live = new LiveNetworks({ instance: "t", store: this.store, network, ipam, log });
		const firewall = new NftFirewall(log);
		const policies = new PolicyService({
			instance: "t",
			store: new PolicyStore<Policy>(this.database),
			firewall,
			members: () => sandboxes.members(),
			containerOf: (id) => this.facts.get(id),
			guests: () => this.guests,
			log: { ...log, warn: (message) => void this.warned.push(message) },
			lifetime: { min: 1, max: 3600 },
		});
		const forward = createForwarder({ upstreams: () => [{ address: OUTSIDE, port: 53 }] });
		const resolver = createSandboxResolver({
			withNetns,
			directory: NOBODY,
			forward,
			domain: "fd.local",
			policies,
			log,
		});
		const sandboxes: Sandboxes = createSandboxes({
			relay: createPortRelay(relaySocket(this.root), log),
			...{ instance: "t", runRoot: this.root, store: this.store, live, resolver },
			namespaces: createNamespaceDriver(),
			...{ network, firewall, policies, ipam, log, poolSize: 0 },
		});
		this.running = { sandboxes, policies, live };
		await sandboxes.open([...this.joined].map(([containerId, settings]) => ({ containerId, settings })));
	}

	async stop(): Promise<void> {
		this.policies.close();
		await this.sandboxes.close();
	}

	async close(): Promise<void> {
		await this.leaveAll();
		await this.stop();
		this.relay.close();
		removeNetns(this.outside);
		check(libc.setns(this.home, 0x40000000), "setns");
		closePort(this.home);
		rmSync(this.root, { recursive: true, force: true });
	}

	async createNetwork(name: string, more: Partial<NetworkRequest> = {}): Promise<void> {
		const { live, sandboxes } = this.must();
		const networks = createNetworks({
			...{ store: this.store, live, ipam: createIpamDriver(), sandboxes, events: createEventBus() },
			hasIpv6: () => true,
			hasLink: () => true,
		});
		await networks.create({ ...PLAIN, ...more, name });
	}

	apply(...documents: object[]): readonly PolicyChange[] {
		return this.policies.apply(parsePolicies(documents), { dryRun: false });
	}

	/** As a client does, who hears back when running flows have ended too. */
	async applied(...documents: object[]): Promise<readonly PolicyChange[]> {
		const changes = this.apply(...documents);
		await this.policies.settled();
		return changes;
	}

	/** What an engine leaves that is killed when it has stored these, and no more. */
	leaveStored(...documents: object[]): void {
		new PolicyStore<Policy>(this.database).change(parsePolicies(documents));
	}

	/** What a test has left. */
	async clear(): Promise<void> {
		await this.leaveAll();
		this.guests = [];
		for (const { policy } of this.policies.list()) this.policies.remove(policy.name);
	}

	async on(
		name: string,
		network: string,
		labels: Record<string, string> = {},
		ports: PortRequest[] = [],
		more: Partial<EndpointRequest> = {},
	): Promise<Guest> {
		this.facts.set(name, { name, labels });
		const settings = await this.sandboxes.join({
			...{ containerId: name, containerName: name, mode: "bridge", ports, sysctls: {} },
			endpoints: [{ network, ...more }],
		});
		this.joined.set(name, settings);
		// The kernel enables a bridge's new port from a work queue.
		await Bun.sleep(20);
		const [{ ipAddress: address = "", ipv6Address: address6 = "" } = {}] = settings.endpoints;
		return { path: settings.sandboxPath ?? "", address, address6 };
	}

	async leave(name: string): Promise<void> {
		await this.sandboxes.leave(name);
		this.joined.delete(name);
		this.facts.delete(name);
	}

	/** Of this engine. */
	tables(): string[] {
		const text = new Nftables().run("list tables");
		return [...text.matchAll(/table (\S+ foredeck-\S+)/g)].map(([, name = ""]) => name);
	}

	private async leaveAll(): Promise<void> {
		for (const name of this.joined.keys()) await this.leave(name);
	}

	private must() {
		if (!this.running) throw new Error("the host is not started");
		return this.running;
	}
}

export function tcpPort(containerPort: number, hostPort: number): PortRequest {
	return { protocol: "tcp", containerPort, hostIp: "", hostPort };
}

const NOBODY = {
	fromSandbox: () => undefined,
	fromHost: () => undefined,
	nameOf: () => undefined,
	mayAskOutside: () => true,
	mayAskHost: () => true,
};

const PLAIN: Omit<NetworkRequest, "name"> = {
	...{ driver: "bridge", scope: "", configFrom: "" },
	...{ internal: false, attachable: false, ingress: false, configOnly: false, enableIpv4: true, enableIpv6: false },
	...{ labels: {}, options: {}, ipam: { driver: "default", options: null, config: [] } },
};

function addWire6(name: string, address: string): void {
	using socket = new RouteSocket();
	socket.request(addAddress6(findLink(socket, name)?.index ?? 0, parseIpv6(address) ?? 0n, 64));
}
