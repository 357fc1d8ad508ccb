import { type Cidr, formatCidr, parseCidr, sizeOf } from "../../shared/cidr.ts";
import { formatIpv4 } from "../../shared/ip.ts";

type Range = readonly [first: number, last: number];

/** A network without parts of it, as nft writes it: `10.0.0.0/8`, or ranges `10.0.0.0-10.0.4.255`. Texts that are no networks count for nothing. */
export function rangesOf(cidr: string, except: readonly string[]): string[] {
	const whole = parseCidr(cidr);
	if (!whole) return [];
	const holes = except.flatMap((text) => parseCidr(text) ?? []);
	if (holes.length === 0) return [formatCidr(whole)];
	let ranges: Range[] = [rangeOf(whole)];
	for (const hole of holes) ranges = ranges.flatMap((range) => without(range, rangeOf(hole)));
	return ranges.map(([first, last]) =>
		first === last ? formatIpv4(first) : `${formatIpv4(first)}-${formatIpv4(last)}`,
	);
}

/** Whether an address is in the network and in none of the exceptions. */
export function isWithin(address: number, cidr: string, except: readonly string[]): boolean {
	const inside = (text: string) => {
		const network = parseCidr(text);
		return network !== undefined && address >= network.base && address < network.base + sizeOf(network);
	};
	return inside(cidr) && !except.some(inside);
}

function rangeOf(cidr: Cidr): Range {
	return [cidr.base, cidr.base + sizeOf(cidr) - 1];
}

function without([first, last]: Range, [from, to]: Range): Range[] {
	if (to < first || from > last) return [[first, last]];
	const before: Range[] = from > first ? [[first, from - 1]] : [];
	return to < last ? [...before, [to + 1, last]] : before;
}
