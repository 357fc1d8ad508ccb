import { ipv4Bytes } from "./ip.ts";

/** Docker's old stable form: 02:42 and the four bytes of the address. Unique where the address is. */
export function macOfIpv4(address: number): string {
	return formatMac(Uint8Array.of(0x02, 0x42, ...ipv4Bytes(address)));
}

export function formatMac(bytes: Uint8Array): string {
	return [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join(":");
}

/** The six bytes; throws on anything but `aa:bb:cc:dd:ee:ff`. */
export function macBytes(text: string): Uint8Array {
	if (!/^[0-9a-f]{2}(:[0-9a-f]{2}){5}$/i.test(text)) throw new Error(`cannot read MAC address ${JSON.stringify(text)}`);
	return Uint8Array.from(text.split(":"), (part) => Number.parseInt(part, 16));
}

/** The link-local address that Linux makes of a MAC (RFC 4291, appendix A). */
export function linkLocalOf(mac: string): bigint {
	const [a = 0, ...rest] = macBytes(mac);
	const id = [a ^ 2, ...rest.slice(0, 2), 0xff, 0xfe, ...rest.slice(2)];
	return id.reduce((sum, byte) => (sum << 8n) | BigInt(byte), 0xfe80n << 48n);
}
