import { cidr6Of, cidrOf, formatCidr, formatCidr6, parseCidr, parseCidr6, sizeOf, sizeOf6 } from "../../shared/cidr.ts";
import { formatIpv4, formatIpv6, type IpAddress, parseIp } from "../../shared/ip.ts";

/** First and last address, and which family they are of. */
interface Range {
	readonly first: bigint;
	readonly last: bigint;
	readonly six: boolean;
}

/** A network without parts of it, as nft writes it: `10.0.0.0/8`, or ranges `10.0.0.0-10.0.4.255`. Texts that are no networks count for nothing. */
export function rangesOf(cidr: string, except: readonly string[]): string[] {
	const whole = rangeOf(cidr);
	if (!whole) return [];
	const holes = except.flatMap((text) => rangeOf(text) ?? []).filter(({ six }) => six === whole.six);
	if (holes.length === 0) return [networkText(cidr)];
	let ranges: Range[] = [whole];
	for (const hole of holes) ranges = ranges.flatMap((range) => without(range, hole));
	return ranges.map(({ first, last, six }) =>
		first === last ? addressText(first, six) : `${addressText(first, six)}-${addressText(last, six)}`,
	);
}

/** Whether an address is in the network and in none of the exceptions. */
export function isWithin(address: IpAddress, cidr: string, except: readonly string[]): boolean {
	const [at, six] = [BigInt(address), typeof address === "bigint"];
	const inside = (text: string) => {
		const range = rangeOf(text);
		return range !== undefined && range.six === six && at >= range.first && at <= range.last;
	};
	return inside(cidr) && !except.some(inside);
}

/** `10.1.0.0/16` of `10.1.2.3/16`, `10.1.2.3/32` of the address alone; undefined for what is no network. */
export function networkOf(text: string): string | undefined {
	const address = parseIp(text);
	if (typeof address === "bigint") return formatCidr6(cidr6Of(address, 128));
	if (address !== undefined) return formatCidr(cidrOf(address, 32));
	return rangeOf(text) && networkText(text);
}

function networkText(text: string): string {
	const [four, six] = [parseCidr(text), parseCidr6(text)];
	return six ? formatCidr6(six) : four ? formatCidr(four) : text;
}

function rangeOf(text: string): Range | undefined {
	const [four, six] = [parseCidr(text), parseCidr6(text)];
	if (six) return { first: six.base, last: six.base + sizeOf6(six) - 1n, six: true };
	return four && { first: BigInt(four.base), last: BigInt(four.base + sizeOf(four) - 1), six: false };
}

function without(range: Range, hole: Range): Range[] {
	if (hole.last < range.first || hole.first > range.last) return [range];
	const before: Range[] = hole.first > range.first ? [{ ...range, last: hole.first - 1n }] : [];
	return hole.last < range.last ? [...before, { ...range, first: hole.last + 1n }] : before;
}

function addressText(address: bigint, six: boolean): string {
	return six ? formatIpv6(address) : formatIpv4(Number(address));
}
