import { attributesOf, messagesOf, NETLINK_NETFILTER, textOf } from "./netlink.ts";
import { NetlinkWatch } from "./netlink-watch.ts";

/** NFNLGRP_NFTABLES as a bit */
const GROUP = 1 << 6;
const NFT_MSG_NEWGEN = 15;
/** NFTA_TABLE_NAME, NFTA_CHAIN_TABLE, NFTA_RULE_TABLE, NFTA_SET_TABLE...: all have this number. */
const TABLE_NAME = 1;

/**
 * Tells when a program other than this object's owner changes one table: `nft monitor`. The kernel sends an event for each transaction; nothing is
 * polled. It watches the network namespace it is constructed in.
 */
export class TableWatch implements Disposable {
	private readonly events: NetlinkWatch;
	/** The transaction whose events are coming in has one about the table. */
	private touched = false;

	/** @param table its name without the family */
	constructor(
		private readonly table: string,
		private readonly onChange: () => void,
	) {
		const subscription = { protocol: NETLINK_NETFILTER, groups: GROUP, name: "bind NFNLGRP_NFTABLES" };
		const onDatagram = (datagram: Uint8Array) => {
			if (this.read(datagram) > 0) this.onChange();
		};
		// What was missed may be about the table.
		this.events = new NetlinkWatch(subscription, onDatagram, () => {
			this.touched = false;
			this.onChange();
		});
	}

	/**
	 * Runs `change`, which makes one transaction on the table, without telling of it. The kernel queues a transaction's events before the call that
	 * made it returns: exactly one is ours, a second one is another program's.
	 */
	own<T>(change: () => T): T {
		if (this.drain() > 0) this.onChange();
		let ours = 0;
		try {
			const result = change();
			ours = 1;
			return result;
		} finally {
			if (this.drain() > ours) this.onChange();
		}
	}

	[Symbol.dispose](): void {
		this.events[Symbol.dispose]();
	}

	/** Reads what is queued; how many transactions on the table ended in it. */
	private drain(): number {
		let count = 0;
		const isLost = this.events.drain((datagram) => {
			count += this.read(datagram);
		});
		// The end of a transaction may be lost as well: the next one's, anybody's, would be taken for it.
		if (isLost) this.touched = false;
		return count;
	}

	private read(datagram: Uint8Array): number {
		let count = 0;
		for (const { type, body } of messagesOf(datagram)) {
			if ((type & 0xff) !== NFT_MSG_NEWGEN) {
				this.touched ||= textOf(attributesOf(body, 4).get(TABLE_NAME)) === this.table;
			} else if (this.touched) {
				this.touched = false;
				count++;
			}
		}
		return count;
	}
}
