import type { NameDirectory } from "../engine/names/contract.ts";
import { formatIpv6 } from "../shared/ip.ts";
import { type Answer, type Query, RCODE, TYPE } from "./message.ts";

/** One link of the chain: an answer, a raw reply under way (forwarded), or undefined to let the next one look. */
export interface Handler {
	answer(query: Query): Answer | Promise<Uint8Array> | undefined;
}

/** EDNS versions above 0 get BADVERS, whatever is asked; zone transfers are refused. */
export const protocolHandler: Handler = {
	answer(query) {
		if (query.type === TYPE.AXFR || query.type === TYPE.IXFR) return failure(RCODE.REFUSED);
		return query.edns !== undefined && query.edns > 0 ? failure(RCODE.NOERROR) : undefined;
	},
};

/** Bare container names, as one sandbox sees them. */
export function sandboxNameHandler(directory: NameDirectory, containerId: () => string | undefined): Handler {
	return {
		answer(query) {
			const addresses = directory.fromSandbox(containerId(), query.name);
			return addresses && addressAnswer(query, addresses, undefined);
		},
	};
}

/** The whole of our domain, authoritative: `lookup` gets the name without the domain. An unknown name ends here with NXDOMAIN, it is never forwarded. */
export function zoneHandler(domain: string, lookup: (label: string) => readonly string[] | undefined): Handler {
	const zone = domain.toLowerCase();
	return {
		answer(query) {
			if (query.name === zone) return apexAnswer(query, zone);
			if (!query.name.endsWith(`.${zone}`)) return undefined;
			const addresses = lookup(query.name.slice(0, -zone.length - 1));
			if (!addresses) return { rcode: RCODE.NXDOMAIN, authoritative: true, records: [], soa: zone };
			return addressAnswer(query, addresses, zone);
		},
	};
}

/** PTR of our containers' addresses; other addresses pass on. */
export function reverseHandler(directory: NameDirectory, containerId?: () => string | undefined): Handler {
	return {
		answer(query) {
			const address = addressOfReverse(query.name);
			const name = address && directory.nameOf(address, containerId?.());
			if (name === undefined) return undefined;
			const wanted = query.type === TYPE.PTR || query.type === TYPE.ANY;
			return { rcode: RCODE.NOERROR, authoritative: true, records: wanted ? [{ type: "PTR", data: name }] : [] };
		},
	};
}

/** Ends here with SERVFAIL, as docker has it, what a sandbox on internal networks alone asks of the outside. */
export function insideOnlyHandler(directory: NameDirectory, containerId: () => string | undefined): Handler {
	return { answer: () => (directory.mayAskOutside(containerId()) ? undefined : failure(RCODE.SERVFAIL)) };
}

/** Refuses what none before it answered, unless the client may have it forwarded: no open resolver. */
export function guardHandler(isLocal: (address: string) => boolean): Handler {
	return { answer: (query) => (isLocal(query.client) ? undefined : failure(RCODE.REFUSED)) };
}

/** `4.3.2.1.in-addr.arpa` -> `1.2.3.4`; 32 nibbles and `ip6.arpa` (RFC 3596 2.5) -> `fd00::1`. */
export function addressOfReverse(name: string): string | undefined {
	const v4 = /^(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.in-addr\.arpa$/.exec(name);
	if (v4) return v4.slice(1).reverse().join(".");
	const v6 = /^((?:[0-9a-f]\.){32})ip6\.arpa$/.exec(name);
	if (!v6?.[1]) return undefined;
	return formatIpv6(BigInt(`0x${v6[1].split(".").reverse().join("")}`));
}

function apexAnswer(query: Query, zone: string): Answer {
	const soaIsAnswer = query.type === TYPE.SOA || query.type === TYPE.ANY;
	return { rcode: RCODE.NOERROR, authoritative: true, records: [], soa: zone, soaIsAnswer };
}

/** A known name without the family asked for is NODATA, never NXDOMAIN. */
function addressAnswer(query: Query, addresses: readonly string[], zone: string | undefined): Answer {
	const known = addresses
		.map((data) => ({ type: data.includes(":") ? ("AAAA" as const) : ("A" as const), data }))
		.filter((record) => query.type === TYPE.ANY || TYPE[record.type] === query.type);
	const records = turned(known);
	const soa = records.length === 0 ? zone : undefined;
	return { rcode: RCODE.NOERROR, authoritative: true, records, ...(soa === undefined ? {} : { soa }) };
}

let turn = 0;

/** Each answer begins with another of several records: clients take the first. */
function turned<T>(records: readonly T[]): readonly T[] {
	if (records.length < 2) return records;
	turn = (turn + 1) % 0x10000;
	const first = turn % records.length;
	return [...records.slice(first), ...records.slice(0, first)];
}

const failure = (rcode: number): Answer => ({ rcode, authoritative: false, records: [] });
