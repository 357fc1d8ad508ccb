import { formatIpv4, parseIpv4 } from "./ip.ts";

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
