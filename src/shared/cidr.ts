import { formatIpv4, formatIpv6, parseIpv4, parseIpv6 } from "./ip.ts";

/** An IPv4 network: `base` has no host bits. */
export interface Cidr {
	readonly base: number;
	readonly prefixLength: number;
}

/** `172.17.0.0/16`; host bits are cleared. undefined when the text is no IPv4 network. */
export function parseCidr(text: string): Cidr | undefined {
	const match = /^([\d.]+)\/(\d{1,2})$/.exec(text);
	const address = parseIpv4(match?.[1] ?? "");
	const prefixLength = Number(match?.[2]);
	if (!match || address === undefined || prefixLength > 32) return undefined;
	return cidrOf(address, prefixLength);
}

/** The network of this size that holds the address. */
export function cidrOf(address: number, prefixLength: number): Cidr {
	const size = 2 ** (32 - prefixLength);
	return { base: address - (address % size), prefixLength };
}

export function formatCidr(cidr: Cidr): string {
	return `${formatIpv4(cidr.base)}/${cidr.prefixLength}`;
}

/** Number of addresses, network and broadcast included. */
export function sizeOf(cidr: Cidr): number {
	return 2 ** (32 - cidr.prefixLength);
}

export function contains(cidr: Cidr, address: number): boolean {
	return address >= cidr.base && address < cidr.base + sizeOf(cidr);
}

export function overlaps(a: Cidr, b: Cidr): boolean {
	return a.base < b.base + sizeOf(b) && b.base < a.base + sizeOf(a);
}

/** An IPv6 network: `base` has no host bits. */
export interface Cidr6 {
	readonly base: bigint;
	readonly prefixLength: number;
}

/** `fd00::/64`; host bits are cleared. undefined when the text is no IPv6 network. */
export function parseCidr6(text: string): Cidr6 | undefined {
	const match = /^([\da-f:.]+)\/(\d{1,3})$/i.exec(text);
	const address = parseIpv6(match?.[1] ?? "");
	const prefixLength = Number(match?.[2]);
	if (!match || address === undefined || prefixLength > 128) return undefined;
	return cidr6Of(address, prefixLength);
}

/** The network of this size that holds the address. */
export function cidr6Of(address: bigint, prefixLength: number): Cidr6 {
	return { base: address - (address % sizeOf6({ prefixLength })), prefixLength };
}

export function formatCidr6(cidr: Cidr6): string {
	return `${formatIpv6(cidr.base)}/${cidr.prefixLength}`;
}

/** Number of addresses. */
export function sizeOf6({ prefixLength }: Pick<Cidr6, "prefixLength">): bigint {
	return 1n << BigInt(128 - prefixLength);
}

export function contains6(cidr: Cidr6, address: bigint): boolean {
	return address >= cidr.base && address < cidr.base + sizeOf6(cidr);
}

export function overlaps6(a: Cidr6, b: Cidr6): boolean {
	return a.base < b.base + sizeOf6(b) && b.base < a.base + sizeOf6(a);
}
