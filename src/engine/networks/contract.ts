import type { NetworkRecord } from "../sandboxes/contract.ts";
import type { PoolRequest } from "./ipam-config.ts";

/** What api asks of the networks noun. `ref` is an id, a name or an unambiguous id prefix: none found throws "not-found" `network REF not found`. */
export interface Networks {
	/** Newest last, the predefined ones included. */
	list(): readonly NetworkRecord[];
	inspect(ref: string): NetworkRecord;
	/** "conflict" when the name is taken, "forbidden" for what docker forbids, "unsupported" naming what this engine has not. */
	create(request: NetworkRequest): Promise<{ id: string }>;
	/** "forbidden" while containers are on it, and for the predefined ones. */
	remove(ref: string): Promise<void>;
	/** Removes those that no running container is on and that `chosen` takes; their names. */
	prune(chosen: (network: NetworkRecord) => boolean): Promise<string[]>;
}

export interface NetworkRequest {
	readonly name: string;
	readonly driver: string;
	readonly scope: string;
	readonly internal: boolean;
	readonly attachable: boolean;
	readonly ingress: boolean;
	readonly configOnly: boolean;
	/** Name of a network to copy the configuration from; "" for none. */
	readonly configFrom: string;
	readonly enableIpv4: boolean;
	readonly enableIpv6: boolean;
	readonly labels: Readonly<Record<string, string>>;
	readonly options: Readonly<Record<string, string>>;
	readonly ipam: {
		readonly driver: string;
		readonly options: Readonly<Record<string, string>> | null;
		readonly config: readonly PoolRequest[];
	};
}
