import { attributesOf, messagesOf, NETLINK_ROUTE, textOf, view } from "./netlink.ts";
import { NetlinkWatch } from "./netlink-watch.ts";

/** RTNLGRP_LINK (1), RTNLGRP_IPV4_IFADDR (5) and RTNLGRP_IPV6_IFADDR (9) as bits */
const GROUPS = (1 << 0) | (1 << 4) | (1 << 8);
const RTM_NEWLINK = 16;
const RTM_DELLINK = 17;
const RTM_DELADDR = 21;
const IFLA_IFNAME = 3;
const IFF_UP = 1;

/** What happened to an interface; of `address` only the index is known. */
export type LinkLoss =
	| { readonly what: "gone" | "down"; readonly index: number; readonly name: string }
	| { readonly what: "address"; readonly index: number };

/** Tells of interfaces that go, go down or lose an address: `ip monitor link address`. undefined: events were missed, it may be any. */
export class LinkWatch extends NetlinkWatch {
	constructor(onLoss: (loss: LinkLoss | undefined) => void) {
		const subscription = { protocol: NETLINK_ROUTE, groups: GROUPS, name: "bind RTNLGRP_LINK" };
		const onDatagram = (datagram: Uint8Array) => {
			for (const loss of lossesOf(datagram)) onLoss(loss);
		};
		super(subscription, onDatagram, () => onLoss(undefined));
	}
}

/** struct ifinfomsg: family, padding, type, index, flags, change; struct ifaddrmsg has its index at the same place. */
export function lossesOf(datagram: Uint8Array): LinkLoss[] {
	return messagesOf(datagram).flatMap(({ type, body }): LinkLoss[] => {
		if (body.length < 8) return [];
		const index = view(body).getInt32(4, true);
		if (type === RTM_DELADDR) return [{ what: "address", index }];
		// Of another family (AF_BRIDGE) it is about a port.
		if ((type !== RTM_NEWLINK && type !== RTM_DELLINK) || body[0] !== 0 || body.length < 16) return [];
		const name = textOf(attributesOf(body, 16).get(IFLA_IFNAME));
		if (type === RTM_DELLINK) return [{ what: "gone", index, name }];
		return view(body).getUint32(8, true) & IFF_UP ? [] : [{ what: "down", index, name }];
	});
}
