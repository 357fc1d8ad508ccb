import { join } from "node:path";
import type { Firewall } from "../../drivers/firewall/driver.ts";
import type { NamespaceDriver, NetworkDriver } from "../../drivers/network/driver.ts";
import { messageOf } from "../../shared/errors.ts";
import { createId } from "../../shared/id.ts";
import type { Logger } from "../../shared/log.ts";
import type { SandboxResolver } from "./contract.ts";

/** A namespace with its resolver; interfaces come and go. */
export interface Sandbox {
	readonly id: string;
	readonly path: string;
	/** From here on its resolver answers as this container's. */
	assign(containerId: string): void;
	/** Stops the resolver; the namespace stays. */
	closeResolver(): void;
	/** Resolver and namespace, once. */
	destroy(): void;
}

export interface SandboxFactory {
	readonly directory: string;
	readonly namespaces: NamespaceDriver;
	readonly network: NetworkDriver;
	readonly firewall: Pick<Firewall, "guard" | "unguard">;
	readonly resolver: SandboxResolver;
}

/** The host's end of a cable, by the id of the sandbox or endpoint that it is of. */
export function hostLinkName(id: string): string {
	return `veth${id.slice(0, 10)}`;
}

export function sandboxPath(directory: string, sandboxId: string): string {
	return join(directory, sandboxId.slice(0, 12));
}

/** Makes a sandbox without interfaces, about 1.5 ms. Leaves nothing on failure. */
export function createSandbox(factory: SandboxFactory): Sandbox {
	const id = createId();
	const path = sandboxPath(factory.directory, id);
	try {
		factory.namespaces.create(path);
		return serveSandbox(factory, { id, path }, false);
	} catch (error) {
		factory.namespaces.remove(path);
		throw error;
	}
}

/** Starts the resolver of a namespace that exists: a new one's, or one that outlived a restart. */
export function serveSandbox(
	{ namespaces, resolver }: SandboxFactory,
	sandbox: { id: string; path: string },
	adopted: boolean,
): Sandbox {
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
		},
	};
}

/** How long nobody may have asked for a sandbox before the next one is prepared, ms: less than the runtime takes to start a process, so that a client that starts one container after the other finds one ready. */
const QUIET_MS = 3;

/** Things made ahead of need, in the pauses between requests. Under a burst `take` makes them itself. */
export class Pool<T> {
	private readonly ready: T[] = [];
	private timer: ReturnType<typeof setTimeout> | undefined;
	private closed = false;

	constructor(
		private size: number,
		private readonly create: () => T,
		private readonly discard: (one: T) => void,
		private readonly log: Logger,
	) {}

	take(): T {
		const one = this.ready.shift() ?? this.create();
		this.refill();
		return one;
	}

	/** From now on so many are kept ready. */
	keep(size: number): void {
		this.size = size;
		this.refill();
	}

	/** Puts off the next preparation to when nothing has happened for a while. */
	refill(): void {
		clearTimeout(this.timer);
		if (this.closed || this.ready.length >= this.size) return;
		this.timer = setTimeout(() => this.prepareOne(), QUIET_MS);
		this.timer.unref();
	}

	all(): readonly T[] {
		return this.ready;
	}

	close(): void {
		this.closed = true;
		clearTimeout(this.timer);
		for (const one of this.ready.splice(0)) this.discard(one);
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
