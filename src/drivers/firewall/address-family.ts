export type Family = 4 | 6;

export const FAMILIES: readonly Family[] = [4, 6];

/** Of an address, or of an element that begins with one. */
export function familyOf(address: string): Family {
	return /^\S*:/.test(address) ? 6 : 4;
}

/** A set of the kernel's holds one family: that of IPv6 bears a 6 behind the name that both have. */
export function setOfFamily(name: string, family: Family): string {
	return family === 6 ? `${name}.6` : name;
}

export function addressType(family: Family): string {
	return family === 6 ? "ipv6_addr" : "ipv4_addr";
}

/** `ip saddr`, `ip6 saddr` */
export function ipField(family: Family, field: "saddr" | "daddr"): string {
	return `${family === 6 ? "ip6" : "ip"} ${field}`;
}

export function ofFamily(addresses: readonly string[], family: Family): string[] {
	return addresses.filter((address) => familyOf(address) === family);
}
