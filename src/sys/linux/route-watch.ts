import { messagesOf, NETLINK_ROUTE } from "./netlink.ts";
import { NetlinkWatch } from "./netlink-watch.ts";

const AF_INET6 = 10;
/** RTNLGRP_IPV4_ROUTE (7), RTNLGRP_IPV4_RULE (8), RTNLGRP_IPV6_ROUTE (11), RTNLGRP_IPV6_RULE (19) as bits */
const GROUPS = (1 << 6) | (1 << 7) | (1 << 10) | (1 << 18);
const RTM_NEWROUTE = 24;
const RTM_DELROUTE = 25;
const RTM_NEWRULE = 32;
const RTM_DELRULE = 33;

/**
 * Tells when the host's way out changes: `ip monitor route rule`, of which only default routes in any table (OpenVPN's halves, 0.0.0.0/1 and
 * 128.0.0.0/1, and its 2000::/3 included) and rules count. It watches the network namespace it is constructed in; nothing is polled.
 */
export class RouteWatch extends NetlinkWatch {
	constructor(onChange: () => void) {
		const subscription = { protocol: NETLINK_ROUTE, groups: GROUPS, name: "bind RTNLGRP_IPV4_ROUTE" };
		const onDatagram = (datagram: Uint8Array) => {
			if (changesWayOut(datagram)) onChange();
		};
		super(subscription, onDatagram, onChange);
	}
}

/** Whether one of these messages is about a rule or a route to everywhere. */
export function changesWayOut(datagram: Uint8Array): boolean {
	return messagesOf(datagram).some(({ type, body }) => {
		if (type === RTM_NEWRULE || type === RTM_DELRULE) return true;
		// struct rtmsg: the family, then the length of the destination's prefix
		const [family, prefixLength = 128] = body;
		return (type === RTM_NEWROUTE || type === RTM_DELROUTE) && prefixLength <= (family === AF_INET6 ? 3 : 1);
	});
}
