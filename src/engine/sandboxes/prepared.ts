import { join } from "node:path";
import type { Leases } from "../../drivers/ipam/driver.ts";
import type { NamespaceDriver, NetworkDriver } from "../../drivers/network/driver.ts";
import { messageOf } from "../../shared/errors.ts";
import { createId } from "../../shared/id.ts";
import { formatIpv4 } from "../../shared/ip.ts";
import type { Logger } from "../../shared/log.ts";
import { macOfIpv4 } from "../../shared/mac.ts";
import type { SandboxResolver } from "./contract.ts";

/** A sandbox on the bridge, whole but for its container. */
export interface BridgeSandbox {
	readonly id: string;
	readonly path: string;
	readonly address: number;
	readonly mac: string;
	/** From here on its resolver answers as this container's. */
	assign(containerId: string): void;
	/** Stops the resolver; the namespace stays. */
	closeResolver(): void;
	/** Resolver, namespace and address, once. */
	destroy(): void;
}

export interface SandboxFactory {
	readonly directory: string;
	readonly namespaces: NamespaceDriver;
	readonly network: NetworkDriver;
	readonly leases: Leases;
	readonly resolver: SandboxResolver;
}

/** The host's end of a sandbox's cable. */
export function linkName(sandboxId: string): string {
	return `veth${sandboxId.slice(0, 10)}`;
}

export function sandboxPath(directory: string, sandboxId: string): string {
	return join(directory, sandboxId.slice(0, 12));
}

/** Makes a sandbox on the bridge, about 2 ms. Leaves nothing on failure. */
export function createBridgeSandbox(factory: SandboxFactory): BridgeSandbox {
	const { namespaces, network, leases } = factory;
	const id = createId();
	const path = sandboxPath(factory.directory, id);
	const address = leases.allocate();
	const mac = macOfIpv4(address);
	try {
		namespaces.create(path);
		const { prefixLength } = leases.subnet;
		network.connect(path, { link: linkName(id), address, prefixLength, gateway: leases.gateway, mac });
		return serveSandbox(factory, { id, path, address, mac }, false);
	} catch (error) {
		namespaces.remove(path);
		leases.release(address);
		throw error;
	}
}

/** Starts the resolver of a namespace that exists: a new one's, or one that outlived a restart. */
export function serveSandbox(
	{ namespaces, leases, resolver }: SandboxFactory,
	sandbox: { id: string; path: string; address: number; mac: string },
	adopted: boolean,
): BridgeSandbox {
	let container: string | undefined;
	const listening = resolver.listen(sandbox.path, () => container);
	try {
		namespaces.redirectResolver(sandbox.path, listening, adopted);
	} catch (error) {
		listening.close();
		throw error;
	}
	let destroyed = false;
	return {
		...sandbox,
		assign: (containerId) => {
			container = containerId;
		},
		closeResolver: () => listening.close(),
		destroy: () => {
			if (destroyed) return;
			destroyed = true;
			listening.close();
			namespaces.remove(sandbox.path);
			leases.release(sandbox.address);
		},
	};
}

/** How long nobody may have asked for a sandbox before the next one is prepared, ms: less than the runtime takes to start a process, so that a client that starts one container after the other finds one ready. */
const QUIET_MS = 3;

/** Sandboxes made ahead of need, in the pauses between requests. Under a burst `take` makes them itself. */
export class SandboxPool {
	private readonly ready: BridgeSandbox[] = [];
	private timer: ReturnType<typeof setTimeout> | undefined;
	private closed = false;

	constructor(
		private readonly size: number,
		private readonly create: () => BridgeSandbox,
		private readonly log: Logger,
	) {}

	take(): BridgeSandbox {
		const sandbox = this.ready.shift() ?? this.create();
		this.refill();
		return sandbox;
	}

	/** Puts off the next preparation to when nothing has happened for a while. */
	refill(): void {
		clearTimeout(this.timer);
		if (this.closed || this.ready.length >= this.size) return;
		this.timer = setTimeout(() => this.prepareOne(), QUIET_MS);
		this.timer.unref();
	}

	close(): void {
		this.closed = true;
		clearTimeout(this.timer);
		for (const sandbox of this.ready.splice(0)) sandbox.destroy();
	}

	private prepareOne(): void {
		try {
			this.ready.push(this.create());
			this.refill();
		} catch (error) {
			this.log.warn("sandbox not prepared ahead", { error: messageOf(error) });
		}
	}
}

/** `172.17.0.2` of a sandbox. */
export function addressOf(sandbox: BridgeSandbox): string {
	return formatIpv4(sandbox.address);
}
