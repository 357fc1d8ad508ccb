import { join } from "node:path";
import type { Firewall } from "../../drivers/firewall/driver.ts";
import type { ControlAddress } from "../../drivers/firewall/ruleset.ts";
import type { IpamDriver } from "../../drivers/ipam/driver.ts";
import type { NamespaceDriver, NetworkDriver, PortRelay } from "../../drivers/network/driver.ts";
import { EngineError, messageOf } from "../../shared/errors.ts";
import { createId } from "../../shared/id.ts";
import type { Logger } from "../../shared/log.ts";
import type { NetworkRow, NetworkStore } from "../../store/networks.ts";
import type { NetworkSettings } from "../containers/record.ts";
import { type BridgeNetwork, LiveNetworks } from "../networks/live.ts";
import type { SandboxPolicies } from "../policy/contract.ts";
import { adoptEndpoint, repairBridge } from "./adopt.ts";
import { bareNetwork, refusePorts } from "./bare.ts";
import type {
	EndpointRequest,
	JoinRequest,
	NetworkRecord,
	Sandboxes,
	SandboxMember,
	SandboxResolver,
} from "./contract.ts";
import {
	addressTexts,
	byPriority,
	connectEndpoint,
	type Endpoint,
	memberOf,
	releaseEndpoint,
	waysOut,
} from "./endpoints.ts";
import { endpointsByNetwork, type Joined, leaveWires, ON_HOST, placeOf, settingsOf, subnetsOf } from "./joined.ts";
import { destroySandbox, SandboxMaker, setRoutes } from "./maker.ts";
import { PortAllocator } from "./ports.ts";
import { type SandboxFactory, sandboxPath, serveSandbox } from "./prepared.ts";
import { Publisher } from "./publish.ts";

export interface SandboxesOptions {
	readonly instance: string;
	readonly runRoot: string;
	readonly store: NetworkStore;
	readonly resolver: SandboxResolver;
	readonly namespaces: NamespaceDriver;
	readonly network: NetworkDriver;
	readonly firewall: Firewall;
	readonly relay: PortRelay;
	readonly ipam: IpamDriver;
	readonly log: Logger;
	/** A container's name now; it may have changed since it joined. */
	readonly nameOf?: (containerId: string) => string | undefined;
	/** Sandboxes made ahead of need; default 4. */
	readonly poolSize?: number;
	/** Where the engine itself listens on the host: closed to containers. */
	readonly control?: readonly ControlAddress[];
	/** Default: made from the same options. */
	readonly live?: LiveNetworks;
	readonly policies?: SandboxPolicies;
}

type Kept = { containerId: string; settings: NetworkSettings };

export function createSandboxes(options: SandboxesOptions): Sandboxes {
	return new SandboxService(options);
}

class SandboxService implements Sandboxes {
	private readonly joined = new Map<string, Joined>();
	private readonly live: LiveNetworks;
	private readonly publisher: Publisher;
	private readonly factory: SandboxFactory;
	private readonly maker: SandboxMaker;
	private isOpen = false;
	private watching: Disposable | undefined;

	constructor(private readonly options: SandboxesOptions) {
		const { namespaces, network, resolver, log, firewall, relay } = options;
		this.live = options.live ?? new LiveNetworks(options);
		this.publisher = new Publisher(new PortAllocator(network), firewall, relay, network);
		this.factory = { directory: join(options.runRoot, "netns"), namespaces, network, firewall, resolver };
		this.maker = new SandboxMaker(this.factory, this.live, options.poolSize ?? 4, log);
	}

	async open(keep: readonly Kept[]): Promise<void> {
		this.live.open();
		this.isOpen = true;
		for (const kept of keep) this.tryAdopt(kept);
		this.sweep();
		const ports = [...this.joined.values()].flatMap(({ published }) => published.forwards);
		const { instance, control = [], policies } = this.options;
		const model = { instance, networks: this.live.rules(), ports, control };
		this.options.firewall.apply(model, policies?.model());
		this.options.relay.keep([...this.joined.values()].flatMap(({ published }) => published.relays));
		this.watching = this.options.network.watch((bridge) => this.repair(bridge));
		this.maker.refill();
	}

	async join(request: JoinRequest): Promise<NetworkSettings> {
		if (this.joined.has(request.containerId)) {
			throw new EngineError("conflict", `container ${request.containerId} has a sandbox already`);
		}
		this.mustBeOpen();
		const bare = request.mode === "none" ? this.live.row("none") : bareNetwork(this.live, request);
		if (request.mode === "bridge" && !bare) return this.joinBridges(request);
		if (!bare) this.options.policies?.check(request.containerId, ON_HOST);
		const joined = bare ? this.joinBare(request, bare) : this.joinHost(request);
		this.joined.set(request.containerId, joined);
		return settingsOf(joined);
	}

	async leave(containerId: string): Promise<void> {
		const joined = this.joined.get(containerId);
		if (!joined) return;
		this.joined.delete(containerId);
		this.policiesFollow(containerId);
		await this.release(containerId, joined);
	}

	async attach(containerId: string, request: EndpointRequest): Promise<NetworkSettings> {
		const joined = this.joined.get(containerId);
		if (!joined?.sandbox) {
			throw new EngineError("invalid", `cannot connect container ${containerId}: it is on no bridge network`);
		}
		const { path } = joined.sandbox;
		await using undo = new AsyncDisposableStack();
		const network = this.live.find(request.network);
		this.options.policies?.check(containerId, placeOf([...joined.endpoints.map((one) => one.network), network]));
		const used = this.options.network.interfaces(path);
		undo.defer(() => {
			this.joined.set(containerId, joined);
			this.policiesFollow(containerId);
		});
		const endpoint = connectEndpoint(this.factory, path, network, request, used, (one) => {
			// The container runs: what policies say holds before it has the interface.
			this.joined.set(containerId, { ...joined, endpoints: [...joined.endpoints, one] });
			this.options.policies?.changed();
		});
		undo.defer(() => this.disconnect(containerId, path, endpoint));
		const endpoints = [...joined.endpoints, endpoint];
		this.lease(containerId, joined.containerName, endpoint);
		const next = await this.rearranged(containerId, joined, endpoints);
		undo.move();
		return settingsOf(next);
	}

	async detach(containerId: string, networkId: string): Promise<NetworkSettings | undefined> {
		const joined = this.joined.get(containerId);
		const endpoint = joined?.endpoints.find(({ network }) => network.id === networkId);
		if (!joined?.sandbox || !endpoint) return undefined;
		const left = joined.endpoints.filter((one) => one !== endpoint);
		const next = await this.rearranged(containerId, joined, left);
		this.disconnect(containerId, joined.sandbox.path, endpoint);
		this.policiesFollow(containerId);
		return settingsOf(next);
	}

	networksOf(containerId: string): readonly BridgeNetwork[] {
		const endpoints = this.joined.get(containerId)?.endpoints ?? [];
		return endpoints.length < 2
			? endpoints.map(({ network }) => network)
			: endpoints.toSorted(byPriority).map(({ network }) => network);
	}

	members(): readonly SandboxMember[] {
		const all = [...this.joined].filter(([, { endpoints }]) => endpoints.length > 0);
		return all.map(([containerId, { endpoints }]) => ({ containerId, ...memberOf(endpoints) }));
	}

	checkShared(containerId: string, owner: string): void {
		this.options.policies?.check(containerId, { owner });
	}

	driverOf(networkId: string): string | undefined {
		return this.live.rows().find(({ id }) => id === networkId)?.driver;
	}

	networks(): readonly NetworkRecord[] {
		this.mustBeOpen();
		const endpoints = endpointsByNetwork(this.joined, (id) => this.options.nameOf?.(id));
		return this.live.rows().map((row) => {
			const { id, name, driver, created, config } = row;
			const known = this.live.bridge(id);
			const base = { id, name, driver, created, endpoints: endpoints.get(id) ?? [], ...(config && { config }) };
			if (!known) return base;
			return { ...base, ...subnetsOf(known), ...(!known.wire && { bridge: known.bridge }) };
		});
	}

	owned(): { namespaces: string[]; links: string[] } {
		const all = [...this.joined.values(), ...this.maker.prepared()];
		return {
			namespaces: all.flatMap(({ path }) => path ?? []),
			links: all.flatMap(({ endpoints }) => endpoints.flatMap(({ settings }) => settings.hostLink ?? [])),
		};
	}

	networksChanged(): void {
		this.options.firewall.setNetworks(this.live.rules());
	}

	/** Running containers keep interfaces, addresses and published ports; only what this process holds goes. With none left the bridges and the table go too. */
	async close(): Promise<void> {
		this.maker.close();
		this.watching?.[Symbol.dispose]();
		if (this.isOpen && this.joined.size === 0) {
			this.options.firewall.remove();
			this.live.removeAll();
		}
		await this.options.network.settled();
		this.options.firewall.close();
		this.options.relay.close();
		for (const { sandbox, published } of this.joined.values()) {
			sandbox?.closeResolver();
			this.publisher.letGo(published);
		}
		this.joined.clear();
	}

	private async joinBridges(request: JoinRequest): Promise<NetworkSettings> {
		const { containerId, containerName } = request;
		const asked = request.endpoints ?? [{ network: "bridge" }];
		this.options.policies?.check(containerId, placeOf(asked.map(({ network }) => this.live.find(network))));
		await using undo = new AsyncDisposableStack();
		const { sandbox, endpoints } = this.maker.take(asked);
		undo.defer(() => destroySandbox(this.factory, { sandbox, endpoints }));
		const ways = waysOut(endpoints);
		if (ways.four?.network.settings.outbound) refusePorts(ways.four.network.name, request.ports);
		const published = this.publisher.prepare(containerName, request.ports, ways);
		undo.defer(() => this.publisher.letGo(published));
		this.options.namespaces.setSysctls(sandbox.path, request.sysctls);
		undo.defer(() => void this.options.store.removeLease(containerId));
		for (const endpoint of endpoints) this.lease(containerId, containerName, endpoint);
		sandbox.assign(containerId);
		const { id: sandboxId, path } = sandbox;
		const joined: Joined = { containerName, mode: "bridge", sandboxId, path, sandbox, endpoints, published };
		this.joined.set(containerId, joined);
		undo.defer(() => {
			this.joined.delete(containerId);
			this.policiesFollow(containerId);
		});
		// Before the container runs, and before its ports are open.
		this.options.policies?.changed();
		await this.publisher.open(containerName, published, ways);
		undo.move();
		return settingsOf(joined);
	}

	/** The container's endpoints are these from now on: default route and published ports follow the one that is the way out. */
	private async rearranged(containerId: string, joined: Joined, endpoints: readonly Endpoint[]): Promise<Joined> {
		const [before, after] = [waysOut(joined.endpoints), waysOut(endpoints)];
		let { published } = joined;
		if (before.four !== after.four || before.six !== after.six) {
			published = await this.publisher.move(joined.containerName, joined.published, after);
			if (joined.path) setRoutes(this.options.network, joined.path, after);
		}
		const next = { ...joined, endpoints, published };
		this.joined.set(containerId, next);
		return next;
	}

	/** After a sandbox has gone, where trouble must not keep the rest of it from going. */
	private policiesFollow(containerId: string): void {
		try {
			this.options.policies?.changed();
		} catch (error) {
			this.options.log.error("policies did not follow a sandbox", { containerId, error: messageOf(error) });
		}
	}

	private lease(containerId: string, containerName: string, endpoint: Endpoint): void {
		for (const address of addressTexts(endpoint)) {
			this.options.store.addLease({ containerId, containerName, networkId: endpoint.network.id, address });
		}
	}

	private disconnect(containerId: string, path: string, endpoint: Endpoint): void {
		const { link: name = "eth0", hostLink: link = "" } = endpoint.settings;
		this.options.network.disconnect(path, { name, link });
		this.options.store.removeLease(containerId, endpoint.network.id);
		releaseEndpoint(this.factory, endpoint);
	}

	private joinHost({ containerName, sysctls }: JoinRequest): Joined {
		const refused = Object.keys(sysctls)[0];
		if (refused) throw new EngineError("invalid", `sysctl '${refused}' not allowed in host network namespace`);
		return { ...this.bare(this.live.row("host")), containerName, mode: "host", sandboxId: createId() };
	}

	private joinBare({ containerName, sysctls }: JoinRequest, network: NetworkRow): Joined {
		const { namespaces } = this.options;
		const sandboxId = createId();
		const path = sandboxPath(this.factory.directory, sandboxId);
		namespaces.create(path, network.config?.mode !== "disabled");
		try {
			namespaces.setSysctls(path, sysctls);
		} catch (error) {
			namespaces.remove(path);
			throw error;
		}
		return { ...this.bare(network), containerName, mode: "none", sandboxId, path };
	}

	private bare({ id, name }: NetworkRow) {
		const bare = { networkName: name, networkId: id, endpointId: createId() };
		return { bare, endpoints: [], published: this.publisher.nothing() };
	}

	private async release(containerId: string, joined: Joined): Promise<void> {
		const { store, namespaces, log } = this.options;
		// The rules go first: the address and the ports may be another's as soon as they are free.
		await this.publisher.shut(joined.published).catch((error: unknown) => {
			log.warn("published ports not shut", { containerId, error: messageOf(error) });
		});
		this.publisher.letGo(joined.published);
		if (joined.sandbox) {
			leaveWires(joined, this.options.network, log);
			destroySandbox(this.factory, { sandbox: joined.sandbox, endpoints: joined.endpoints });
			this.options.network.seeOff(joined.endpoints.map(({ settings }) => settings.hostLink ?? ""));
			store.removeLease(containerId);
		} else if (joined.path) {
			namespaces.remove(joined.path);
		}
		this.maker.refill();
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
		const { namespaces, firewall, log } = this.options;
		const { sandboxId, sandboxPath: path } = settings;
		const containerName = this.options.nameOf?.(containerId) ?? containerId.slice(0, 12);
		if (path && !namespaces.exists(path)) {
			log.warn("sandbox of a running container is gone", { containerId, path });
			return;
		}
		const [first] = settings.endpoints;
		const common = { containerName, sandboxId, ...(path && { path }) };
		const isBare = first && this.live.bare(first.networkId) !== undefined;
		if (!path || isBare || first?.networkName === "host") {
			const mode = isBare ? "none" : "host";
			const published = this.publisher.nothing();
			this.joined.set(containerId, { ...common, mode, endpoints: [], published, ...(first && { bare: first }) });
			return;
		}
		const taking = { live: this.live, driver: this.options.network, firewall, log };
		const endpoints = settings.endpoints.flatMap((one) => adoptEndpoint(taking, containerId, sandboxId, one));
		for (const endpoint of endpoints) this.lease(containerId, containerName, endpoint);
		const sandbox = serveSandbox(this.factory, { id: sandboxId, path }, true);
		sandbox.assign(containerId);
		const { published, lost } = this.publisher.adopt(settings.ports, waysOut(endpoints));
		if (lost > 0) log.warn("host port of a running container is used by another program", { containerId });
		this.joined.set(containerId, { ...common, mode: "bridge", sandbox, endpoints, published });
	}

	private repair(bridge: string): void {
		const all = [...this.joined.values(), ...this.maker.prepared()].flatMap(({ endpoints }) => endpoints);
		const { log, network: driver } = this.options;
		if (repairBridge({ live: this.live, driver, log }, bridge, all)) this.networksChanged();
	}

	/** Namespaces, interfaces and leases of containers that are not ours to keep. */
	private sweep(): void {
		const { namespaces, network, store, log } = this.options;
		const all = [...this.joined.values()];
		const paths = new Set(all.map(({ path }) => path));
		const stale = namespaces.list(this.factory.directory).filter((path) => !paths.has(path));
		for (const path of stale) namespaces.remove(path);
		const links = all.flatMap(({ endpoints }) => endpoints.map(({ settings }) => settings.hostLink ?? ""));
		network.sweep(this.live.mark, this.live.bridgeNames(), links);
		for (const { id } of this.live.rows()) {
			for (const { containerId } of store.leases(id)) {
				const on = this.joined.get(containerId)?.endpoints.some((one) => one.network.id === id);
				if (!on) store.removeLease(containerId, id);
			}
		}
		if (stale.length > 0) log.info("left-over sandboxes removed", { count: stale.length });
	}

	private mustBeOpen(): void {
		if (!this.isOpen) throw new EngineError("unavailable", "the network is not open yet");
	}
}
