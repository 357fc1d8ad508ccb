import { decode } from "dns-packet";
import type { NamePolicies } from "../engine/policy/contract.ts";
import type { AnsweredAddress } from "../engine/policy/resolver-view.ts";
import { formatIp, parseIp } from "../shared/ip.ts";
import type { Handler } from "./handlers.ts";
import { type Query, RCODE } from "./message.ts";

/** Told of each reply before it is sent. */
export type Observer = (query: Query, reply: Uint8Array) => void;

/** Ends here with NXDOMAIN what a policy lets a sandbox not ask of others: a program gives up at once, and nothing leaves by way of names. */
export function policyHandler(policies: NamePolicies, containerId: () => string | undefined): Handler {
	return {
		answer(query) {
			const id = containerId();
			if (id === undefined || !policies.refuses(id, query.name)) return undefined;
			return { rcode: RCODE.NXDOMAIN, authoritative: false, records: [] };
		},
	};
}

/** Tells policies what a sandbox is about to be answered, where a rule has the name: its addresses must be let through before they are known. */
export function policyObserver(policies: NamePolicies, containerId: () => string | undefined): Observer {
	return (query, reply) => {
		const id = containerId();
		if (id === undefined || !policies.wants(id, query.name)) return;
		policies.answered(id, query.name, addressesIn(reply, query.name));
	};
}

/** The question's addresses in a reply, by way of its aliases (CNAME, RFC 1034 3.6.2); records of other names count for nothing. */
export function addressesIn(reply: Uint8Array, name: string): AnsweredAddress[] {
	const records = answersOf(reply);
	const names = new Set([name]);
	// An alias may stand before or behind what leads to it.
	for (let found = true; found; ) {
		found = false;
		for (const record of records) {
			if (record.type !== "CNAME" || !names.has(plain(record.name)) || names.has(plain(record.data))) continue;
			names.add(plain(record.data));
			found = true;
		}
	}
	return records.flatMap((record) => {
		if ((record.type !== "A" && record.type !== "AAAA") || !names.has(plain(record.name))) return [];
		const address = parseIp(record.data);
		return address === undefined ? [] : [{ address: formatIp(address), ttl: record.ttl ?? 0 }];
	});
}

/** None in what cannot be read: then the sandbox is told of an address that it cannot reach. */
function answersOf(reply: Uint8Array) {
	try {
		return decode(Buffer.from(reply)).answers ?? [];
	} catch {
		return [];
	}
}

function plain(name: string): string {
	return name.toLowerCase().replace(/\.$/, "");
}
