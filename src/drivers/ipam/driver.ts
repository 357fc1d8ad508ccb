import type { Cidr, Cidr6 } from "../../shared/cidr.ts";

/** Chooses subnets and leases addresses. Pure: what is in use comes in by argument. */
export interface IpamDriver {
	/** A subnet that overlaps none of `used`. */
	chooseSubnet(used: readonly Cidr[]): Cidr;
	/** A book of addresses for the subnet with only its own addresses taken. */
	leases(subnet: Cidr, plan?: AddressPlan): Leases;
	/** A /64 of the unique local addresses (RFC 4193) that belong to `seed`, overlapping none of `used`: the same seed always has the same /48. */
	chooseSubnet6(seed: string, used: readonly Cidr6[]): Cidr6;
	leases6(subnet: Cidr6, plan?: AddressPlan6): Leases6;
}

/** What a network's owner decided about its addresses. */
export interface AddressPlan {
	/** Default: the first host address of the range, or of the subnet. */
	readonly gateway?: number;
	/** Addresses that are given out by themselves come from here; default: the whole subnet. */
	readonly range?: Cidr;
	/** Never given out: others have them. */
	readonly reserved?: readonly number[];
}

export interface Leases {
	readonly subnet: Cidr;
	readonly gateway: number;
	/** Throws EngineError "unavailable" when the range is full. */
	allocate(): number;
	/** false when the address is taken, or belongs to the subnet itself. */
	take(address: number): boolean;
	/** false when it was free already. */
	release(address: number): boolean;
}

export interface AddressPlan6 {
	/** Default: the first address of the range, or of the subnet, that is none of its edges. */
	readonly gateway?: bigint;
	readonly range?: Cidr6;
	readonly reserved?: readonly bigint[];
}

/** As Leases, in the other family. */
export interface Leases6 {
	readonly subnet: Cidr6;
	readonly gateway: bigint;
	allocate(): bigint;
	take(address: bigint): boolean;
	release(address: bigint): boolean;
}
