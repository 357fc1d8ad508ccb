import { attribute, attributesOf, joinBytes, NETLINK_NETFILTER, NetlinkSocket, textOf, view } from "./netlink.ts";

const NFPROTO_INET = 1;
/** NFNL_SUBSYS_NFTABLES in the upper byte */
const NFT_MSG_GETOBJ = 0x0a00 | 19;
const NFTA_OBJ_TABLE = 1;
const NFTA_OBJ_NAME = 2;
const NFTA_OBJ_TYPE = 3;
const NFTA_OBJ_DATA = 4;
const NFT_OBJECT_COUNTER = 1;
const NFTA_COUNTER_BYTES = 1;
const NFTA_COUNTER_PACKETS = 2;

export interface NamedCounter {
	readonly packets: number;
	readonly bytes: number;
}

/** Reads named counters of the namespace it is opened in: libnftables would first read all the rules there are. */
export class CounterSocket extends NetlinkSocket {
	constructor() {
		super(NETLINK_NETFILTER);
	}

	/** Of a table of family inet, by name; none where there is no such table. */
	counters(table: string): Map<string, NamedCounter> {
		// nft list counters table inet TABLE
		const type = Uint8Array.of(0, 0, 0, NFT_OBJECT_COUNTER);
		const body = joinBytes([
			Uint8Array.of(NFPROTO_INET, 0, 0, 0),
			attribute(NFTA_OBJ_TABLE, table),
			attribute(NFTA_OBJ_TYPE, type),
		]);
		const found = new Map<string, NamedCounter>();
		for (const message of this.dump({ type: NFT_MSG_GETOBJ, body, twin: `nft list counters table inet ${table}` })) {
			const attributes = attributesOf(message.body, 4);
			const data = attributes.get(NFTA_OBJ_DATA);
			if (!data || textOf(attributes.get(NFTA_OBJ_TABLE)) !== table) continue;
			const fields = attributesOf(data, 0);
			const counter = { packets: numberIn(fields, NFTA_COUNTER_PACKETS), bytes: numberIn(fields, NFTA_COUNTER_BYTES) };
			found.set(textOf(attributes.get(NFTA_OBJ_NAME)), counter);
		}
		return found;
	}
}

/** 64 bits, big end first */
function numberIn(attributes: ReadonlyMap<number, Uint8Array>, type: number): number {
	const value = attributes.get(type);
	return value?.length === 8 ? Number(view(value).getBigUint64(0)) : 0;
}
