import { join } from "node:path";
import type { Firewall } from "../../drivers/firewall/driver.ts";
import type { PortForward } from "../../drivers/firewall/ruleset.ts";
import type { IpamDriver, Leases } from "../../drivers/ipam/driver.ts";
import type { NamespaceDriver, NetworkDriver } from "../../drivers/network/driver.ts";
import { parseCidr } from "../../shared/cidr.ts";
import { EngineError, messageOf } from "../../shared/errors.ts";
import { createId } from "../../shared/id.ts";
import { formatIpv4, parseIpv4 } from "../../shared/ip.ts";
import type { Logger } from "../../shared/log.ts";
import type { NetworkStore } from "../../store/networks.ts";
import type { NetworkSettings, PublishedPort } from "../containers/record.ts";
import { openPredefined, type Predefined } from "../networks/predefined.ts";
import type { JoinRequest, NetworkRecord, Sandboxes, SandboxResolver } from "./contract.ts";
import { type HeldPort, PortAllocator } from "./ports.ts";
import {
	addressOf,
	type BridgeSandbox,
	createBridgeSandbox,
	linkName,
	type SandboxFactory,
	SandboxPool,
	sandboxPath,
	serveSandbox,
} from "./prepared.ts";

export interface SandboxesOptions {
	readonly instance: string;
	readonly runRoot: string;
	readonly store: NetworkStore;
	readonly resolver: SandboxResolver;
	readonly namespaces: NamespaceDriver;
	readonly network: NetworkDriver;
	readonly firewall: Firewall;
	readonly ipam: IpamDriver;
	readonly log: Logger;
	/** A container's name now; it may have changed since it joined. */
	readonly nameOf?: (containerId: string) => string | undefined;
	/** Sandboxes made ahead of need; default 4. */
	readonly poolSize?: number;
}

type Kept = { containerId: string; settings: NetworkSettings };

/** What one container has of the network. `sandbox` on the bridge only. */
interface Joined {
	readonly containerName: string;
	readonly mode: JoinRequest["mode"];
	readonly settings: NetworkSettings;
	readonly held: readonly HeldPort[];
	readonly forwards: readonly PortForward[];
	readonly sandbox?: BridgeSandbox;
}

interface Opened {
	readonly predefined: Predefined;
	readonly leases: Leases;
	readonly factory: SandboxFactory;
	readonly pool: SandboxPool;
}

export function createSandboxes(options: SandboxesOptions): Sandboxes {
	return new SandboxService(options);
}

class SandboxService implements Sandboxes {
	private readonly joined = new Map<string, Joined>();
	private readonly ports: PortAllocator;
	private readonly directory: string;
	private opened: Opened | undefined;

	constructor(private readonly options: SandboxesOptions) {
		this.ports = new PortAllocator(options.network);
		this.directory = join(options.runRoot, "netns");
	}

	async open(keep: readonly Kept[]): Promise<void> {
		const { instance, store, network, namespaces, ipam, resolver, log } = this.options;
		const predefined = openPredefined(store, instance, (link) => network.usedNetworks(link), ipam.chooseSubnet, log);
		const subnet = parseCidr(predefined.bridge.subnet);
		if (!subnet)
			throw new EngineError("internal", `cannot open network bridge: stored subnet ${predefined.bridge.subnet}`);
		const leases = ipam.leases(subnet);
		const { bridge } = predefined.bridge;
		network.open({
			name: bridge,
			alias: `foredeck ${instance}`,
			gateway: leases.gateway,
			prefixLength: subnet.prefixLength,
		});
		const factory = { directory: this.directory, namespaces, network, leases, resolver };
		const pool = new SandboxPool(this.options.poolSize ?? 4, () => createBridgeSandbox(factory), log);
		this.opened = { predefined, leases, factory, pool };
		for (const kept of keep) this.tryAdopt(kept);
		this.sweep(predefined.bridge.id);
		const ports = [...this.joined.values()].flatMap((one) => one.forwards);
		this.options.firewall.apply({ instance, bridge, subnet: predefined.bridge.subnet, ports });
		pool.refill();
	}

	async join(request: JoinRequest): Promise<NetworkSettings> {
		if (this.joined.has(request.containerId)) {
			throw new EngineError("conflict", `container ${request.containerId} has a sandbox already`);
		}
		if (request.mode === "bridge") return this.joinBridge(request);
		const joined = request.mode === "host" ? this.joinHost(request) : this.joinNone(request);
		this.joined.set(request.containerId, joined);
		return joined.settings;
	}

	async leave(containerId: string): Promise<void> {
		const joined = this.joined.get(containerId);
		if (!joined) return;
		this.joined.delete(containerId);
		await this.release(containerId, joined);
	}

	networks(): readonly NetworkRecord[] {
		const { predefined, leases } = this.state();
		const record = (mode: JoinRequest["mode"]): NetworkRecord => {
			const { id, name, driver, created } = predefined[mode];
			return { id, name, driver, created, endpoints: this.endpointsOf(mode) };
		};
		const { subnet, bridge } = predefined.bridge;
		return [
			{ ...record("bridge"), subnet, gateway: formatIpv4(leases.gateway), bridge },
			record("host"),
			record("none"),
		];
	}

	/** Running containers keep interfaces, addresses and published ports; only what this process holds goes. With none left the bridge and the table go too. */
	async close(): Promise<void> {
		this.opened?.pool.close();
		if (this.opened && this.joined.size === 0) {
			this.options.firewall.remove();
			this.options.network.remove();
		}
		this.options.firewall.close();
		for (const { sandbox, held } of this.joined.values()) {
			sandbox?.closeResolver();
			for (const port of held) port.release();
		}
		this.joined.clear();
	}

	private async joinBridge(request: JoinRequest): Promise<NetworkSettings> {
		const { pool, leases, predefined } = this.state();
		const { store, namespaces, firewall } = this.options;
		const { containerId, containerName } = request;
		await using undo = new AsyncDisposableStack();
		const sandbox = pool.take();
		undo.defer(() => sandbox.destroy());
		const address = addressOf(sandbox);
		const endpointId = createId();
		const held = this.allocatePorts(request, endpointId, address);
		undo.defer(() => releaseAll(held));
		namespaces.setSysctls(sandbox.path, request.sysctls);
		store.addLease({ containerId, containerName, networkId: predefined.bridge.id, address });
		undo.defer(() => void store.removeLease(containerId));
		const endpoint = {
			networkName: "bridge",
			networkId: predefined.bridge.id,
			endpointId,
			macAddress: sandbox.mac,
			ipAddress: address,
			prefixLength: leases.subnet.prefixLength,
			gateway: formatIpv4(leases.gateway),
		};
		const settings = {
			sandboxPath: sandbox.path,
			sandboxId: sandbox.id,
			endpoints: [endpoint],
			ports: held.map(publishedOf),
		};
		const forwards = held.map((port) => forwardOf(port, sandbox.address));
		sandbox.assign(containerId);
		this.joined.set(containerId, { containerName, mode: "bridge", settings, held, forwards, sandbox });
		undo.defer(() => void this.joined.delete(containerId));
		await firewall.publish(forwards);
		undo.move();
		return settings;
	}

	private allocatePorts(request: JoinRequest, endpointId: string, address: string): HeldPort[] {
		try {
			return this.ports.allocate(request.ports, address);
		} catch (error) {
			const code = error instanceof EngineError ? error.code : "internal";
			const text = `driver failed programming external connectivity on endpoint ${request.containerName} (${endpointId}): ${messageOf(error)}`;
			throw new EngineError(code, text, { cause: error });
		}
	}

	private joinHost({ containerName, sysctls }: JoinRequest): Joined {
		const refused = Object.keys(sysctls)[0];
		if (refused) throw new EngineError("invalid", `sysctl '${refused}' not allowed in host network namespace`);
		return { containerName, mode: "host", settings: this.bareSettings("host", createId()), held: [], forwards: [] };
	}

	private joinNone({ containerName, sysctls }: JoinRequest): Joined {
		const { namespaces } = this.options;
		const sandboxId = createId();
		const path = sandboxPath(this.directory, sandboxId);
		namespaces.create(path);
		try {
			namespaces.setSysctls(path, sysctls);
		} catch (error) {
			namespaces.remove(path);
			throw error;
		}
		const settings = { ...this.bareSettings("none", sandboxId), sandboxPath: path };
		return { containerName, mode: "none", settings, held: [], forwards: [] };
	}

	private bareSettings(mode: "host" | "none", sandboxId: string): NetworkSettings {
		const { id, name } = this.state().predefined[mode];
		return { sandboxId, endpoints: [{ networkName: name, networkId: id, endpointId: createId() }], ports: [] };
	}

	private async release(containerId: string, joined: Joined): Promise<void> {
		const { firewall, store, namespaces, log } = this.options;
		// The rules go first: the address and the ports may be another's as soon as they are free.
		await firewall.unpublish(joined.forwards).catch((error: unknown) => {
			log.warn("published ports not taken from the firewall", { containerId, error: messageOf(error) });
		});
		releaseAll(joined.held);
		if (joined.sandbox) {
			joined.sandbox.destroy();
			store.removeLease(containerId);
		} else if (joined.settings.sandboxPath) {
			namespaces.remove(joined.settings.sandboxPath);
		}
		this.opened?.pool.refill();
	}

	/** One container's trouble must not keep the others from being adopted. */
	private tryAdopt(kept: Kept): void {
		try {
			this.adopt(kept);
		} catch (error) {
			this.options.log.error("sandbox not adopted", { containerId: kept.containerId, error: messageOf(error) });
		}
	}

	/** Takes over a sandbox that outlived the last daemon. */
	private adopt({ containerId, settings }: Kept): void {
		const { namespaces, store, log } = this.options;
		const { factory, leases, predefined } = this.state();
		const endpoint = settings.endpoints[0];
		const mode = modeOf(endpoint?.networkName);
		const { sandboxId, sandboxPath: path } = settings;
		const known = store.leases(predefined.bridge.id).find((lease) => lease.containerId === containerId);
		const containerName = known?.containerName ?? containerId.slice(0, 12);
		if (path && !namespaces.exists(path)) {
			log.warn("sandbox of a running container is gone", { containerId, path });
			return;
		}
		const bare = { containerName, mode, settings, held: [], forwards: [] };
		const address = parseIpv4(endpoint?.ipAddress ?? "");
		if (mode !== "bridge" || !path || address === undefined) {
			this.joined.set(containerId, bare);
			return;
		}
		if (!leases.take(address))
			log.warn("address of a running container is taken", { containerId, address: endpoint?.ipAddress });
		if (!known && endpoint?.ipAddress) {
			store.addLease({ containerId, containerName, networkId: predefined.bridge.id, address: endpoint.ipAddress });
		}
		const sandbox = serveSandbox(factory, { id: sandboxId, path, address, mac: endpoint?.macAddress ?? "" }, true);
		sandbox.assign(containerId);
		const held = settings.ports.flatMap((port) => this.ports.adopt(port) ?? []);
		if (held.length < settings.ports.length)
			log.warn("host port of a running container is used by another program", { containerId });
		const forwards = settings.ports.map((port) => forwardOf(port, address));
		this.joined.set(containerId, { ...bare, sandbox, held, forwards });
	}

	/** Namespaces, interfaces and leases of containers that are not ours to keep. */
	private sweep(bridgeId: string): void {
		const { namespaces, network, store, log } = this.options;
		const settings = [...this.joined.values()].map((one) => one.settings);
		const paths = new Set(settings.map((one) => one.sandboxPath));
		const stale = namespaces.list(this.directory).filter((path) => !paths.has(path));
		for (const path of stale) namespaces.remove(path);
		network.sweep(settings.map((one) => linkName(one.sandboxId)));
		for (const lease of store.leases(bridgeId))
			if (!this.joined.has(lease.containerId)) store.removeLease(lease.containerId);
		if (stale.length > 0) log.info("left-over sandboxes removed", { count: stale.length });
	}

	private endpointsOf(mode: JoinRequest["mode"]): NetworkRecord["endpoints"] {
		return [...this.joined].flatMap(([containerId, joined]) => {
			const endpoint = joined.settings.endpoints[0];
			if (joined.mode !== mode || !endpoint) return [];
			const { endpointId, macAddress: mac = "", ipAddress: ip = "", prefixLength = 0 } = endpoint;
			const name = this.options.nameOf?.(containerId) ?? joined.containerName;
			return [{ containerId, endpointId, name, mac, ip, prefixLength }];
		});
	}

	private state(): Opened {
		if (!this.opened) throw new EngineError("unavailable", "the network is not open yet");
		return this.opened;
	}
}

function modeOf(networkName: string | undefined): JoinRequest["mode"] {
	return networkName === "host" || networkName === "none" ? networkName : "bridge";
}

function releaseAll(ports: readonly HeldPort[]): void {
	for (const port of ports) port.release();
}

function publishedOf({ protocol, containerPort, hostIp, hostPort }: PublishedPort): PublishedPort {
	return { protocol, containerPort, hostIp, hostPort };
}

function forwardOf(port: PublishedPort, address: number): PortForward {
	const { protocol, hostPort, containerPort } = port;
	return { protocol, hostAddress: parseIpv4(port.hostIp) ?? 0, hostPort, address, port: containerPort };
}
