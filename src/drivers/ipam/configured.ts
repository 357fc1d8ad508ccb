import { type Cidr, type Cidr6, parseCidr, parseCidr6 } from "../../shared/cidr.ts";

/** What is cut into subnets of one size. */
export type AddressPool =
	| { readonly family: 4; readonly base: Cidr; readonly size: number }
	| { readonly family: 6; readonly base: Cidr6; readonly size: number };

/** Docker's `base=10.10.0.0/16,size=24`, of either family; undefined for what cannot be read, or cut so. */
export function parseAddressPool(text: string): AddressPool | undefined {
	const fields = new Map(text.split(",").map((part) => part.split("=", 2) as [string, string | undefined]));
	const [base = "", digits = ""] = [fields.get("base"), fields.get("size")];
	if (fields.size !== 2 || !/^\d{1,3}$/.test(digits)) return undefined;
	const [size, four, six] = [Number(digits), parseCidr(base), parseCidr6(base)];
	if (four && size >= four.prefixLength && size <= 30) return { family: 4, base: four, size };
	if (six && size >= six.prefixLength && size <= 126) return { family: 6, base: six, size };
	return undefined;
}

/** The subnets of these pools in turn, made as they are asked for: a /8 has 65536 of /24. */
export function* subnets4(pools: readonly AddressPool[]): Generator<Cidr> {
	for (const pool of pools) {
		if (pool.family !== 4) continue;
		const { base, size } = pool;
		const count = 2 ** (size - base.prefixLength);
		for (let number = 0; number < count; number++) {
			yield { base: base.base + number * 2 ** (32 - size), prefixLength: size };
		}
	}
}

export function* subnets6(pools: readonly AddressPool[]): Generator<Cidr6> {
	for (const pool of pools) {
		if (pool.family !== 6) continue;
		const { base, size } = pool;
		const count = 1n << BigInt(size - base.prefixLength);
		for (let number = 0n; number < count; number++) {
			yield { base: base.base + (number << BigInt(128 - size)), prefixLength: size };
		}
	}
}
