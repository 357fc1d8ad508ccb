/** An IPv4 address as an unsigned 32-bit number, or undefined when the text is none (four decimal bytes, no leading zeros). */
export function parseIpv4(text: string): number | undefined {
	const parts = text.split(".");
	if (parts.length !== 4) return undefined;
	let value = 0;
	for (const part of parts) {
		if (!/^(0|[1-9]\d{0,2})$/.test(part) || Number(part) > 255) return undefined;
		value = value * 256 + Number(part);
	}
	return value;
}

/** `172.17.0.2` of its number. */
export function formatIpv4(address: number): string {
	return [address >>> 24, (address >>> 16) & 255, (address >>> 8) & 255, address & 255].join(".");
}

/** The four bytes in network order. */
export function ipv4Bytes(address: number): Uint8Array {
	return Uint8Array.of(address >>> 24, (address >>> 16) & 255, (address >>> 8) & 255, address & 255);
}

/** An address of either family: IPv6 is a bigint, so that the type tells the family. */
export type IpAddress = number | bigint;

const MAX_IPV6 = (1n << 128n) - 1n;

/** An IPv6 address as an unsigned 128-bit number, or undefined when the text is none. Zones (`%eth0`) are none. */
export function parseIpv6(text: string): bigint | undefined {
	const [head = "", tail, more] = text.split("::");
	if (more !== undefined) return undefined;
	const front = wordsOf(head, tail === undefined);
	const back = tail === undefined ? [] : wordsOf(tail, true);
	if (!front || !back) return undefined;
	const missing = 8 - front.length - back.length;
	if (tail === undefined ? missing !== 0 : missing < 1) return undefined;
	const words = [...front, ...Array<number>(missing).fill(0), ...back];
	return words.reduce((sum, word) => (sum << 16n) | BigInt(word), 0n);
}

/** Groups of 16 bits; the last may be an IPv4 address in dots (RFC 4291 2.2) where the text ends the address. */
function wordsOf(text: string, last: boolean): number[] | undefined {
	if (text === "") return [];
	const words: number[] = [];
	const parts = text.split(":");
	for (const [at, part] of parts.entries()) {
		const dotted = last && at === parts.length - 1 ? parseIpv4(part) : undefined;
		if (dotted !== undefined) words.push(dotted >>> 16, dotted & 0xffff);
		else if (/^[0-9a-f]{1,4}$/i.test(part)) words.push(Number.parseInt(part, 16));
		else return undefined;
	}
	return words;
}

/** RFC 5952: lower case, the longest run of zero groups (the first of equals, at least two) as `::`; `::ffff:1.2.3.4` for mapped ones. */
export function formatIpv6(address: bigint): string {
	if (address >> 32n === 0xffffn) return `::ffff:${formatIpv4(Number(address & 0xffffffffn))}`;
	const words = Array.from({ length: 8 }, (_, i) => ((address >> BigInt(112 - i * 16)) & 0xffffn).toString(16));
	let [start, length] = [0, 0];
	for (let at = 0; at < 8; at++) {
		let run = 0;
		while (words[at + run] === "0") run++;
		if (run > length) [start, length] = [at, run];
	}
	if (length < 2) return words.join(":");
	return `${words.slice(0, start).join(":")}::${words.slice(start + length).join(":")}`;
}

/** The sixteen bytes in network order. */
export function ipv6Bytes(address: bigint): Uint8Array {
	return Uint8Array.from({ length: 16 }, (_, i) => Number((address >> BigInt(120 - i * 8)) & 255n));
}

/** The number of sixteen bytes in network order. */
export function ipv6OfBytes(bytes: Uint8Array): bigint {
	return bytes.reduce((sum, byte) => (sum << 8n) | BigInt(byte), 0n) & MAX_IPV6;
}

/** Of either family; undefined when the text is neither. */
export function parseIp(text: string): IpAddress | undefined {
	return text.includes(":") ? parseIpv6(text) : parseIpv4(text);
}

export function formatIp(address: IpAddress): string {
	return typeof address === "bigint" ? formatIpv6(address) : formatIpv4(address);
}

/** In network order: four or sixteen. */
export function ipBytes(address: IpAddress): Uint8Array {
	return typeof address === "bigint" ? ipv6Bytes(address) : ipv4Bytes(address);
}
