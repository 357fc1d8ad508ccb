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
	/** Several books as one, which gives out the first's addresses first. */
	together<Address, Subnet>(
		first: AddressBook<Address, Subnet>,
		more: readonly AddressBook<Address, Subnet>[],
	): AddressBook<Address, Subnet>;
}

/** What a network's owner decided about its addresses. */
export interface AddressPlan {
	/** Default: the first host address of the range, or of the subnet. */
	readonly gateway?: number;
	/** Where `gateway` is undefined none is kept for it. */
	readonly gatewayFree?: boolean;
	/** Addresses that are given out by themselves come from here; default: the whole subnet. */
	readonly range?: Cidr;
	/** Never given out: others have them. */
	readonly reserved?: readonly number[];
}

/** Addresses of one network and family, out of one pool or several. */
export interface AddressBook<Address, Subnet> {
	/** Of the first pool. */
	readonly subnet: Subnet;
	readonly gateway: Address;
	/** Of all pools. */
	readonly subnets: readonly Subnet[];
	/** Throws EngineError "unavailable" when all is given out. */
	allocate(): Address;
	/** false when the address is taken, or belongs to the subnet itself. */
	take(address: Address): boolean;
	/** false when it was free already. */
	release(address: Address): boolean;
	/** Whether it is of one of the subnets. */
	holds(address: Address): boolean;
	/** The pool that an address is of. */
	poolOf(address: Address): { readonly subnet: Subnet; readonly gateway: Address };
	/** How many are given out. */
	readonly count: number;
}

export type Leases = AddressBook<number, Cidr>;

export interface AddressPlan6 {
	/** Default: the first address of the range, or of the subnet, that is none of its edges. */
	readonly gateway?: bigint;
	readonly gatewayFree?: boolean;
	readonly range?: Cidr6;
	readonly reserved?: readonly bigint[];
}

export type Leases6 = AddressBook<bigint, Cidr6>;
