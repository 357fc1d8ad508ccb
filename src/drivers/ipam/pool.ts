import { type Cidr, overlaps, sizeOf } from "../../shared/cidr.ts";
import { EngineError } from "../../shared/errors.ts";
import { formatIpv4 } from "../../shared/ip.ts";
import type { IpamDriver, Leases } from "./driver.ts";

/** Docker's default pools, in its order: 172.17/16 to 172.31/16, then 192.168.0/20 to 192.168.240/20. */
export const DEFAULT_POOLS: readonly Cidr[] = [
	...Array.from({ length: 15 }, (_, i) => ({ base: 0xac110000 + i * 0x10000, prefixLength: 16 })),
	...Array.from({ length: 16 }, (_, i) => ({ base: 0xc0a80000 + i * 0x1000, prefixLength: 20 })),
];

/** The first pool that touches nothing in use. Throws EngineError "unavailable" when all do. */
export function chooseSubnet(pools: readonly Cidr[], used: readonly Cidr[]): Cidr {
	const free = pools.find((pool) => !used.some((other) => overlaps(pool, other)));
	if (free) return free;
	throw new EngineError(
		"unavailable",
		"could not find an available, non-overlapping IPv4 address pool among the defaults to assign to the network",
	);
}

/** Addresses of one subnet. The gateway is the first; leases go round, so that an address just freed comes back last. */
export class AddressLeases implements Leases {
	private readonly taken = new Set<number>();
	private cursor = 1;
	readonly gateway: number;

	constructor(readonly subnet: Cidr) {
		this.gateway = subnet.base + 1;
	}

	/** Throws EngineError "unavailable" when the subnet is full. */
	allocate(): number {
		const last = sizeOf(this.subnet) - 2;
		for (let tried = 1; tried < last; tried++) {
			this.cursor = this.cursor >= last ? 2 : this.cursor + 1;
			const address = this.subnet.base + this.cursor;
			if (this.taken.has(address)) continue;
			this.taken.add(address);
			return address;
		}
		throw new EngineError(
			"unavailable",
			`no available IPv4 addresses on this network's address pools: ${formatIpv4(this.subnet.base)}/${this.subnet.prefixLength}`,
		);
	}

	/** Takes a certain address, for sandboxes that outlived a restart; false when it is taken. */
	take(address: number): boolean {
		if (this.taken.has(address)) return false;
		this.taken.add(address);
		this.cursor = Math.max(this.cursor, address - this.subnet.base);
		return true;
	}

	/** false when it was free already. */
	release(address: number): boolean {
		return this.taken.delete(address);
	}
}

export function createIpamDriver(pools: readonly Cidr[] = DEFAULT_POOLS): IpamDriver {
	return {
		chooseSubnet: (used) => chooseSubnet(pools, used),
		leases: (subnet) => new AddressLeases(subnet),
	};
}
