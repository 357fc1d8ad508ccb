import { Database } from "bun:sqlite";
import { expect } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { NftFirewall } from "../drivers/firewall/nft.ts";
import type { ControlAddress } from "../drivers/firewall/ruleset.ts";
import { createIpamDriver } from "../drivers/ipam/pool.ts";
import { BridgeDriver } from "../drivers/network/bridge.ts";
import { createNamespaceDriver } from "../drivers/network/namespace.ts";
import { createPortRelay } from "../drivers/network/relay/client.ts";
import { relaySocket } from "../drivers/network/relay/protocol.ts";
import { serveRelay } from "../drivers/network/relay/server.ts";
import type { NetworkSettings } from "../engine/containers/record.ts";
import { createEventBus } from "../engine/event-bus.ts";
import type { NetworkRequest, Networks } from "../engine/networks/contract.ts";
import { LiveNetworks } from "../engine/networks/live.ts";
import { createNetworks } from "../engine/networks/service.ts";
import type { EndpointRequest, PortRequest, Sandboxes } from "../engine/sandboxes/contract.ts";
import { createSandboxes } from "../engine/sandboxes/service.ts";
import { silentLogger } from "../shared/log.ts";
import { familiesSchema, NetworkStore, networksSchema, userNetworksSchema } from "../store/networks.ts";
import { check, libc } from "../sys/linux/libc.ts";
import { openNetns, removeNetns } from "../sys/linux/netns.ts";
import { closePort } from "../sys/linux/port-socket.ts";
import { buildOutside } from "../sys/linux/testing/outside-host.ts";

const CLONE_NEWNET = 0x40000000;

export interface TestNetworksOptions {
	/** Of interfaces and the table; a few letters. */
	readonly instance: string;
	readonly modes?: boolean;
	readonly control?: readonly ControlAddress[];
	/** Of every network that is created. */
	readonly network?: Partial<NetworkRequest>;
}

interface Engine {
	/** What a dead process cannot: react to what the next one does. */
	die(): void;
	readonly sandboxes: Sandboxes;
	readonly networks: Networks;
}

/** Networks and sandboxes on the real kernel. The host of a test is a fresh namespace; `outside` is another machine on its wire (see buildOutside). */
export class TestNetworks {
	readonly root: string;
	readonly outside: string;
	readonly database = new Database(":memory:");
	/** Settings of the sandboxes that are on networks, by container. */
	readonly joined = new Map<string, NetworkSettings>();
	private readonly home = openNetns("/proc/thread-self/ns/net");
	private readonly relay: { close(): void };
	private engine: Engine | undefined;

	/** From here on the thread is in the host's namespace, until `end`. */
	constructor(private readonly options: TestNetworksOptions) {
		this.root = mkdtempSync(join(tmpdir(), `foredeck-${options.instance}-${process.pid}-`));
		this.outside = join(this.root, "outside");
		check(libc.unshare(CLONE_NEWNET), "unshare --net");
		buildOutside(this.outside);
		this.database.run("PRAGMA foreign_keys = ON");
		this.database.exec(networksSchema + userNetworksSchema + familiesSchema);
		this.relay = serveRelay(relaySocket(this.root), silentLogger);
	}

	/** As kill -9 of the engine. */
	die(): void {
		this.started.die();
	}

	get sandboxes(): Sandboxes {
		return this.started.sandboxes;
	}

	get networks(): Networks {
		return this.started.networks;
	}

	/** As a daemon does at its start; an earlier one is simply forgotten, as after kill -9. */
	async start(keep: { containerId: string; settings: NetworkSettings }[] = []): Promise<void> {
		const { instance, modes = false, control = [] } = this.options;
		const [store, log, ipam] = [new NetworkStore(this.database), silentLogger, createIpamDriver()];
		this.engine?.die();
		const [network, firewall] = [new MortalDriver(log), new NftFirewall(log)];
		const live = new LiveNetworks({ instance, store, network, ipam, modes, log });
		const sandboxes = createSandboxes({
			...{ instance, runRoot: this.root, store, live, network, ipam, control, log },
			resolver: { listen: () => ({ udpPort: 5353, tcpPort: 5354, close: () => {} }) },
			namespaces: createNamespaceDriver(),
			firewall,
			relay: createPortRelay(relaySocket(this.root), log),
			poolSize: 0,
		});
		const hasLink = (name: string) => network.hasLink(name);
		const hasIpv6 = () => network.hasIpv6();
		const hasBigTcp = () => network.hasBigTcp();
		const knows = (kind: "ipvlan" | "macvlan") => network.knows(kind);
		const events = createEventBus();
		const networks = createNetworks({ store, live, ipam, sandboxes, events, hasIpv6, hasBigTcp, hasLink, knows });
		const die = () => {
			network.watching?.[Symbol.dispose]();
			firewall.close();
		};
		this.engine = { sandboxes, networks, die };
		await sandboxes.open(keep);
		// The relay is there at once.
		await Bun.sleep(20);
	}

	/** For afterEach: nothing is left of a test. */
	async clear(): Promise<void> {
		for (const id of this.joined.keys()) await this.sandboxes.leave(id);
		this.joined.clear();
		await this.networks.prune(() => true);
		expect(this.database.query("SELECT 1 FROM leases").all()).toEqual([]);
	}

	async end(): Promise<void> {
		await this.engine?.sandboxes.close();
		this.relay.close();
		for (const { sandboxPath } of this.joined.values()) removeNetns(sandboxPath ?? "");
		removeNetns(this.outside);
		check(libc.setns(this.home, CLONE_NEWNET), "setns");
		closePort(this.home);
		rmSync(this.root, { recursive: true, force: true });
	}

	create(name: string, more: Partial<NetworkRequest> = {}): Promise<{ id: string }> {
		return this.networks.create({ ...PLAIN, ...this.options.network, ...more, name });
	}

	/** A sandbox on a network. */
	async on(id: string, network: string, more: Partial<EndpointRequest> = {}, ports: PortRequest[] = []) {
		const endpoints = [{ ...more, network }];
		const request = { containerId: id, containerName: id, endpoints, ports, sysctls: {} };
		const settings = await this.sandboxes.join({ ...request, mode: "bridge" });
		this.joined.set(id, settings);
		// The kernel enables a bridge's new port from a work queue: an ARP request sent before that is repeated only after a second.
		await Bun.sleep(20);
		const [first] = settings.endpoints;
		const { ipAddress: address = "", ipv6Address: address6 = "" } = first ?? {};
		return { settings, path: settings.sandboxPath ?? "", address, address6 };
	}

	private get started(): Engine {
		if (!this.engine) throw new Error("not started");
		return this.engine;
	}
}

class MortalDriver extends BridgeDriver {
	watching: Disposable | undefined;

	override watch(onLoss: (bridge: string) => void): Disposable {
		this.watching = super.watch(onLoss);
		return this.watching;
	}
}

const PLAIN: Omit<NetworkRequest, "name"> = {
	driver: "bridge",
	scope: "",
	internal: false,
	attachable: false,
	ingress: false,
	configOnly: false,
	configFrom: "",
	enableIpv4: true,
	enableIpv6: false,
	labels: {},
	options: {},
	ipam: poolsOf(),
};

export function poolsOf(...config: NetworkRequest["ipam"]["config"]): NetworkRequest["ipam"] {
	return { driver: "default", options: null, config };
}

/** Of TCP, by every address. */
export function portOf(containerPort: number, hostPort: number): PortRequest {
	return { protocol: "tcp", containerPort, hostIp: "", hostPort };
}
