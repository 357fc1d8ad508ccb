import type { NetworkDriver } from "../../drivers/network/driver.ts";
import type { IpAddress } from "../../shared/ip.ts";
import type { Logger } from "../../shared/log.ts";
import type { BridgeNetwork, LiveNetworks } from "../networks/live.ts";
import type { EndpointRequest } from "./contract.ts";
import {
	byPriority,
	connectEndpoint,
	type Endpoint,
	releaseEndpoint,
	routeOf,
	routeOf6,
	type WaysOut,
	type Wiring,
	waysOut,
} from "./endpoints.ts";
import { createSandbox, Pool, type Sandbox, type SandboxFactory } from "./prepared.ts";

/** A sandbox and the networks it is on. */
export interface ConnectedSandbox {
	readonly sandbox: Sandbox;
	readonly endpoints: readonly Endpoint[];
}

/** Makes sandboxes on networks, ahead of need: the common case, the predefined bridge alone, is ready to the last step, others get a sandbox without interfaces. */
export class SandboxMaker {
	private readonly ready: Pool<ConnectedSandbox>;
	private readonly empty: Pool<Sandbox>;

	constructor(
		private readonly factory: SandboxFactory,
		private readonly live: LiveNetworks,
		private readonly poolSize: number,
		log: Logger,
	) {
		this.ready = new Pool(
			poolSize,
			() => this.connect(this.create(), [{ network: "bridge" }]),
			(one) => destroySandbox(factory, one),
			log,
		);
		this.empty = new Pool(
			0,
			() => this.create(),
			(one) => one.destroy(),
			log,
		);
	}

	/** A sandbox on all of these networks; leaves nothing on failure. "not-found" for a network that is not there. */
	take(requests: readonly EndpointRequest[]): ConnectedSandbox {
		if (requests.length === 1 && requests.every((request) => this.isPlain(request))) return this.ready.take();
		// From the first of its kind on, some are kept.
		this.empty.keep(Math.min(2, this.poolSize));
		return this.connect(this.empty.take(), requests);
	}

	/** To be called when there is time: see Pool. */
	refill(): void {
		this.ready.refill();
	}

	/** Those that wait to be taken. */
	prepared(): { path: string; endpoints: readonly Endpoint[] }[] {
		return [
			...this.ready.all().map(({ sandbox: { path }, endpoints }) => ({ path, endpoints })),
			...this.empty.all().map(({ path }) => ({ path, endpoints: [] })),
		];
	}

	close(): void {
		this.ready.close();
		this.empty.close();
	}

	private create(): Sandbox {
		return createSandbox(this.factory);
	}

	private connect(sandbox: Sandbox, requests: readonly EndpointRequest[]): ConnectedSandbox {
		const endpoints: Endpoint[] = [];
		try {
			const wanted = requests.map((request) => ({ request, network: this.live.find(request.network) }));
			for (const { request, network } of wanted.toSorted(inOrder)) {
				const used = endpoints.length === 0 ? undefined : endpoints.map(({ settings }) => settings.link ?? "");
				endpoints.push(connectEndpoint(this.factory, sandbox.path, network, request, used));
			}
			const ways = waysOut(endpoints);
			const set = [ways.four, ways.six].every((way) => way === undefined || way === endpoints[0]);
			if (!set) setRoutes(this.factory.network, sandbox.path, ways);
			return { sandbox, endpoints };
		} catch (error) {
			destroySandbox(this.factory, { sandbox, endpoints });
			throw error;
		}
	}

	private isPlain({ network, address, address6, linkLocal, macAddress, sysctls, linkName }: EndpointRequest): boolean {
		const special = [address, address6, linkLocal, macAddress, sysctls, linkName].some((one) => one !== undefined);
		return !special && this.live.find(network).isDefault;
	}
}

/** The sandbox's default routes lead to these endpoints' networks, or nowhere. */
export function setRoutes(driver: NetworkDriver, path: string, { four, six }: WaysOut): void {
	const way = (name = "eth0", gateway: IpAddress | undefined) => (gateway === undefined ? [] : [{ name, gateway }]);
	const [gateway, gateway6] = [four && routeOf(four.network, four), six && routeOf6(six.network, six)];
	driver.setDefaultRoutes(path, [...way(four?.settings.link, gateway), ...way(six?.settings.link, gateway6)]);
}

/** Namespace, resolver and addresses. */
export function destroySandbox(wiring: Pick<Wiring, "firewall">, { sandbox, endpoints }: ConnectedSandbox): void {
	sandbox.destroy();
	for (const endpoint of endpoints) releaseEndpoint(wiring, endpoint);
}

type Wanted = { readonly request: EndpointRequest; readonly network: BridgeNetwork };

function inOrder(a: Wanted, b: Wanted): number {
	const settings = ({ request, network }: Wanted) => ({ networkName: network.name, gwPriority: request.gwPriority });
	return byPriority({ settings: settings(a) }, { settings: settings(b) });
}
