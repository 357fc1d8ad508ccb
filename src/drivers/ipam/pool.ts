import { type Cidr, contains, formatCidr, sizeOf } from "../../shared/cidr.ts";
import { EngineError } from "../../shared/errors.ts";
import { type AddressPool, subnets4, subnets6 } from "./configured.ts";
import type { AddressPlan, IpamDriver, Leases } from "./driver.ts";
import { occupied } from "./occupied.ts";
import { AddressLeases6, chooseSubnet6, ownSubnets } from "./pool6.ts";
import { SeveralPools } from "./several.ts";

/** Docker's default pools, in its order: 172.17/16 to 172.31/16, then 192.168.0/20 to 192.168.240/20. */
export const DEFAULT_POOLS: readonly Cidr[] = [
	...Array.from({ length: 15 }, (_, i) => ({ base: 0xac110000 + i * 0x10000, prefixLength: 16 })),
	...Array.from({ length: 16 }, (_, i) => ({ base: 0xc0a80000 + i * 0x1000, prefixLength: 20 })),
];

/** The first pool that touches nothing in use. Throws EngineError "unavailable" when all do. */
export function chooseSubnet(pools: Iterable<Cidr>, used: readonly Cidr[]): Cidr {
	const spanOf = (one: Cidr) => ({ first: one.base, last: one.base + sizeOf(one) - 1 });
	const touches = occupied(used.map(spanOf));
	for (const pool of pools) if (!touches(spanOf(pool))) return pool;
	throw new EngineError(
		"unavailable",
		"could not find an available, non-overlapping IPv4 address pool among the defaults to assign to the network",
	);
}

/**
 * Addresses of one subnet. Leases go round, so that an address just freed comes back last. Network and broadcast address are never given out, but for
 * a /31 and a /32, which have none (RFC 3021).
 */
export class AddressLeases implements Leases {
	private readonly taken = new Set<number>();
	private readonly kept: ReadonlySet<number>;
	private readonly range: Cidr;
	/** Offset in the range of the address given out last. */
	private cursor: number;
	readonly gateway: number;

	constructor(
		readonly subnet: Cidr,
		plan: AddressPlan = {},
	) {
		this.range = plan.range ?? subnet;
		const edges = subnet.prefixLength < 31 ? [subnet.base, subnet.base + sizeOf(subnet) - 1] : [];
		this.gateway = plan.gateway ?? firstOf(this.range, new Set([...edges, ...(plan.reserved ?? [])]));
		const gateways = plan.gatewayFree && plan.gateway === undefined ? [] : [this.gateway];
		this.kept = new Set([...edges, ...gateways, ...(plan.reserved ?? [])]);
		this.cursor = -1;
	}

	/** Throws EngineError "unavailable" when the range is full. */
	allocate(): number {
		const size = sizeOf(this.range);
		for (let tried = 0; tried < size; tried++) {
			this.cursor = (this.cursor + 1) % size;
			const address = this.range.base + this.cursor;
			if (this.taken.has(address) || this.kept.has(address)) continue;
			this.taken.add(address);
			return address;
		}
		throw new EngineError(
			"unavailable",
			`no available IPv4 addresses on this network's address pools: ${formatCidr(this.range)}`,
		);
	}

	/** Takes a certain address, asked for by a client or held by a sandbox that outlived a restart; false when it is taken. */
	take(address: number): boolean {
		if (this.taken.has(address) || this.kept.has(address)) return false;
		this.taken.add(address);
		return true;
	}

	get subnets(): readonly Cidr[] {
		return [this.subnet];
	}

	holds(address: number): boolean {
		return contains(this.subnet, address);
	}

	poolOf(): { readonly subnet: Cidr; readonly gateway: number } {
		return this;
	}

	/** false when it was free already. */
	release(address: number): boolean {
		return this.taken.delete(address);
	}

	get count(): number {
		return this.taken.size;
	}
}

/** The first address of the range that is none of these; its base where all are. */
function firstOf(range: Cidr, except: ReadonlySet<number>): number {
	const last = range.base + sizeOf(range);
	for (let address = range.base; address < last; address++) if (!except.has(address)) return address;
	return range.base;
}

/** @param configured where subnets come from; of a family that has none there, docker's defaults */
export function createIpamDriver(configured: readonly AddressPool[] = []): IpamDriver {
	const has = (family: 4 | 6) => configured.some((pool) => pool.family === family);
	return {
		chooseSubnet: (used) => chooseSubnet(has(4) ? subnets4(configured) : DEFAULT_POOLS, used),
		leases: (subnet, plan) => new AddressLeases(subnet, plan),
		chooseSubnet6: (seed, used) => chooseSubnet6(has(6) ? subnets6(configured) : ownSubnets(seed), used),
		leases6: (subnet, plan) => new AddressLeases6(subnet, plan),
		together: (first, more) => (more.length === 0 ? first : new SeveralPools(first, more)),
	};
}
