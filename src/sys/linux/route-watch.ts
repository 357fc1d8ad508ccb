import { ptr } from "bun:ffi";
import { check, libc } from "./libc.ts";
import { messagesOf, NETLINK_ROUTE } from "./netlink.ts";

const AF_NETLINK = 16;
const SOCK_RAW = 3;
const SOCK_NONBLOCK = 0o4000;
const SOCK_CLOEXEC = 0o2000000;
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
export class RouteWatch implements Disposable {
	private fd = -1;
	private socket: Bun.Socket | undefined;
	private closed = false;

	constructor(private readonly onChange: () => void) {
		this.open();
	}

	[Symbol.dispose](): void {
		this.closed = true;
		if (this.socket) this.socket.terminate();
	}

	private open(): void {
		const type = SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC;
		const fd = check(libc.socket(AF_NETLINK, type, NETLINK_ROUTE), "socket AF_NETLINK");
		// struct sockaddr_nl: family, padding, port (the kernel's choice), groups
		const name = new Uint8Array(new Uint32Array([AF_NETLINK, 0, GROUPS]).buffer);
		try {
			check(libc.bind(fd, ptr(name), name.length), "bind RTNLGRP_IPV4_ROUTE and others");
		} catch (error) {
			libc.close(fd);
			throw error;
		}
		this.fd = fd;
		this.adopt(fd);
	}

	/** Bun's poller takes any socket by its fd, one datagram per call. */
	private adopt(fd: number): void {
		const lost = () => this.lost(fd);
		const socket = {
			open: (opened: Bun.Socket) => {
				this.socket = opened;
				opened.unref();
				if (this.closed) opened.terminate();
			},
			data: (_: Bun.Socket, datagram: Uint8Array) => {
				if (changesWayOut(datagram)) this.onChange();
			},
			close: lost,
			error: lost,
			connectError: lost,
		};
		Bun.connect({ fd, socket } as unknown as Parameters<typeof Bun.connect>[0]).catch(lost);
	}

	/** More events at once than the socket's buffer holds (ENOBUFS) end it: what was missed may be a default route. */
	private lost(fd: number): void {
		if (this.closed || fd !== this.fd) return;
		this.fd = -1;
		this.socket = undefined;
		this.open();
		this.onChange();
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
