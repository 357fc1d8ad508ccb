import { createHash } from "node:crypto";
import { type Cidr6, contains6, formatCidr6, sizeOf6 } from "../../shared/cidr.ts";
import { EngineError } from "../../shared/errors.ts";
import { ipv6OfBytes } from "../../shared/ip.ts";
import type { AddressPlan6, Leases6 } from "./driver.ts";
import { occupied } from "./occupied.ts";

/** A /48 has this many /64. */
const SUBNETS = 0x10000;

/** The seed's /48: `fd` and 40 bits of its hash (RFC 4193 3.2.2 wants them pseudo-random). */
export function ulaOf(seed: string): Cidr6 {
	const bytes = new Uint8Array(16);
	bytes[0] = 0xfd;
	bytes.set(createHash("sha256").update(seed).digest().subarray(0, 5), 1);
	return { base: ipv6OfBytes(bytes), prefixLength: 48 };
}

/** Every /64 of the seed's /48. */
export function* ownSubnets(seed: string): Generator<Cidr6> {
	const { base } = ulaOf(seed);
	for (let number = 0; number < SUBNETS; number++) yield { base: base + (BigInt(number) << 64n), prefixLength: 64 };
}

/** The first that touches nothing in use. Throws EngineError "unavailable" when all do. */
export function chooseSubnet6(pools: Iterable<Cidr6>, used: readonly Cidr6[]): Cidr6 {
	const spanOf = (one: Cidr6) => ({ first: one.base, last: one.base + sizeOf6(one) - 1n });
	const touches = occupied(used.map(spanOf));
	for (const pool of pools) if (!touches(spanOf(pool))) return pool;
	throw new EngineError(
		"unavailable",
		"could not find an available, non-overlapping IPv6 address pool among the defaults to assign to the network",
	);
}

/**
 * Addresses of one IPv6 subnet, given out in turn as the IPv4 ones are. The first address (the routers' anycast, RFC 4291 2.6.1) is never given out
 * but for a /127 and a /128 (RFC 6164); docker keeps the last one free too.
 */
export class AddressLeases6 implements Leases6 {
	private readonly taken = new Set<bigint>();
	private readonly kept: ReadonlySet<bigint>;
	private readonly range: Cidr6;
	/** Offset in the range of the address given out last. */
	private cursor = -1n;
	readonly gateway: bigint;

	constructor(
		readonly subnet: Cidr6,
		plan: AddressPlan6 = {},
	) {
		this.range = plan.range ?? subnet;
		const edges = subnet.prefixLength < 127 ? [subnet.base, subnet.base + sizeOf6(subnet) - 1n] : [];
		const reserved = new Set([...edges, ...(plan.reserved ?? [])]);
		this.gateway = plan.gateway ?? firstOf(this.range, reserved);
		this.kept = plan.gatewayFree && plan.gateway === undefined ? reserved : reserved.add(this.gateway);
	}

	/** Throws EngineError "unavailable" when the range is full. */
	allocate(): bigint {
		const size = sizeOf6(this.range);
		// Among one more than those that are spoken for is a free one, where the range has as many: a /64 is never walked to its end.
		const spoken = BigInt(this.taken.size + this.kept.size + 1);
		for (let tried = 0n; tried < (spoken < size ? spoken : size); tried++) {
			this.cursor = (this.cursor + 1n) % size;
			const address = this.range.base + this.cursor;
			if (this.take(address)) return address;
		}
		throw new EngineError(
			"unavailable",
			`no available IPv6 addresses on this network's address pools: ${formatCidr6(this.range)}`,
		);
	}

	/** Takes a certain address; false when it is taken. */
	take(address: bigint): boolean {
		if (this.taken.has(address) || this.kept.has(address)) return false;
		this.taken.add(address);
		return true;
	}

	get subnets(): readonly Cidr6[] {
		return [this.subnet];
	}

	holds(address: bigint): boolean {
		return contains6(this.subnet, address);
	}

	poolOf(): { readonly subnet: Cidr6; readonly gateway: bigint } {
		return this;
	}

	/** false when it was free already. */
	release(address: bigint): boolean {
		return this.taken.delete(address);
	}

	get count(): number {
		return this.taken.size;
	}
}

/** The first address of the range that is none of these; its base where all are. */
function firstOf(range: Cidr6, except: ReadonlySet<bigint>): bigint {
	const last = range.base + sizeOf6(range);
	for (let address = range.base; address < last; address++) if (!except.has(address)) return address;
	return range.base;
}
