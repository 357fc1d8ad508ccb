import type { Cidr } from "../../shared/cidr.ts";

/** Chooses subnets and leases addresses. Pure: what is in use comes in by argument. */
export interface IpamDriver {
	/** A subnet that overlaps none of `used`. */
	chooseSubnet(used: readonly Cidr[]): Cidr;
	/** An empty book of addresses for the subnet. */
	leases(subnet: Cidr): Leases;
}

export interface Leases {
	readonly subnet: Cidr;
	readonly gateway: number;
	/** Throws EngineError "unavailable" when the subnet is full. */
	allocate(): number;
	/** false when the address is taken. */
	take(address: number): boolean;
	/** false when it was free already. */
	release(address: number): boolean;
}
