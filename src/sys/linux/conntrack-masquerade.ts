import type { IpAddress } from "../../shared/ip.ts";
import { ConntrackSocket } from "./conntrack.ts";

/** A connection that left behind another address than its own. */
export interface MasqueradedFlow {
	readonly source: IpAddress;
	readonly destination: IpAddress;
	/** The address that the other side sees. */
	readonly behind: IpAddress;
}

/**
 * Forgets the masqueraded flows of both families that `stale` picks, whatever their protocol: the next packet is masqueraded anew, by the way it takes
 * now. Opens its socket in the calling thread's network namespace. Returns how many.
 */
export function forgetMasqueraded(stale: (flow: MasqueradedFlow) => boolean): number {
	using socket = new ConntrackSocket();
	return socket.forgetFlows(({ source, destination, replyDestination: behind }) => {
		return behind !== source && stale({ source, destination, behind });
	});
}
