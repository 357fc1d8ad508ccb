import { createHash } from "node:crypto";
import type { Cidr } from "../../shared/cidr.ts";
import { formatCidr, overlaps, parseCidr } from "../../shared/cidr.ts";
import { createId } from "../../shared/id.ts";
import type { Logger } from "../../shared/log.ts";
import { nowNano } from "../../shared/time.ts";
import type { NetworkRow, NetworkStore } from "../../store/networks.ts";

/** Longest interface name that Linux takes (IFNAMSIZ less the NUL). */
const MAX_LINK_NAME = 15;

/** `fd0` for the instance `fd`; a name too long for an interface is cut and told apart by a hash. */
export function bridgeName(instance: string): string {
	if (instance.length < MAX_LINK_NAME) return `${instance}0`;
	const hash = createHash("sha256").update(instance).digest("hex").slice(0, 6);
	return `${instance.slice(0, MAX_LINK_NAME - 7)}${hash}0`;
}

export interface Predefined {
	readonly bridge: NetworkRow & { readonly subnet: string; readonly bridge: string };
	readonly host: NetworkRow;
	readonly none: NetworkRow;
}

/** Reads the predefined networks, or makes them on the first start. The bridge keeps its subnet for good; an overlap that came later is only told. */
export function openPredefined(
	store: NetworkStore,
	instance: string,
	usedNetworks: (exceptLink: string) => readonly Cidr[],
	chooseSubnet: (used: readonly Cidr[]) => Cidr,
	log: Logger,
): Predefined {
	const fresh = { created: nowNano(), subnet: null, bridge: null, config: null };
	const ensure = (name: string, driver: NetworkRow["driver"], more: Partial<NetworkRow>): NetworkRow => {
		const row = { ...fresh, ...more, name, driver, id: createId() };
		store.putNetwork(row);
		return row;
	};
	const bridge = bridgeName(instance);
	const used = usedNetworks(bridge);
	const known = store.network("bridge");
	const subnet = known?.subnet ?? formatCidr(chooseSubnet(used));
	const old = parseCidr(subnet);
	const clash = used.find((other) => old && overlaps(old, other));
	if (clash) log.warn("bridge subnet overlaps a network of the host", { subnet, overlaps: formatCidr(clash) });
	const row = known ?? ensure("bridge", "bridge", { subnet, bridge });
	return {
		bridge: { ...row, subnet, bridge },
		host: store.network("host") ?? ensure("host", "host", {}),
		none: store.network("none") ?? ensure("none", "null", {}),
	};
}
