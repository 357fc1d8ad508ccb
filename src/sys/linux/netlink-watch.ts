import { ptr } from "bun:ffi";
import { check, errno, libc } from "./libc.ts";

const AF_NETLINK = 16;
const SOCK_RAW = 3;
const SOCK_NONBLOCK = 0o4000;
const SOCK_CLOEXEC = 0o2000000;
const MSG_DONTWAIT = 0x40;
const ENOBUFS = 105;

export interface Subscription {
	/** NETLINK_ROUTE, NETLINK_NETFILTER */
	readonly protocol: number;
	/** Multicast groups 1 to 32 as bits: group n is `1 << (n - 1)`. */
	readonly groups: number;
	/** For the error text: `bind RTNLGRP_LINK`. */
	readonly name: string;
}

/** Hears what the kernel tells of, in the network namespace that it is constructed in. Nothing is polled, and the event loop is not kept alive. */
export class NetlinkWatch implements Disposable {
	private fd = -1;
	private socket: Bun.Socket | undefined;
	private closed = false;
	private readonly buffer = new Uint8Array(1 << 17);

	/** @param onLost more was told at once than the socket holds (ENOBUFS): what was missed may be anything; it listens on */
	constructor(
		private readonly subscription: Subscription,
		private readonly onDatagram: (datagram: Uint8Array) => void,
		private readonly onLost: () => void,
	) {
		this.open();
	}

	/** Reads what is queued without waiting for the event loop. Whether some of it was lost, which is not told of otherwise. */
	drain(onDatagram: (datagram: Uint8Array) => void): boolean {
		let isLost = false;
		for (;;) {
			const length = Number(libc.recv(this.fd, ptr(this.buffer), this.buffer.length, MSG_DONTWAIT));
			if (length > 0) onDatagram(this.buffer.subarray(0, length));
			else if (length === 0 || errno() !== ENOBUFS) return isLost;
			// Told once, go on with what there is: our own large transaction may be the cause.
			else isLost = true;
		}
	}

	[Symbol.dispose](): void {
		this.closed = true;
		if (this.socket) this.socket.terminate();
	}

	private open(): void {
		const { protocol, groups, name: call } = this.subscription;
		const fd = check(libc.socket(AF_NETLINK, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, protocol), "socket AF_NETLINK");
		// struct sockaddr_nl: family, padding, port (the kernel's choice), groups
		const name = new Uint8Array(new Uint32Array([AF_NETLINK, 0, groups]).buffer);
		try {
			check(libc.bind(fd, ptr(name), name.length), call);
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
			data: (_: Bun.Socket, datagram: Uint8Array) => this.onDatagram(datagram),
			close: lost,
			error: lost,
			connectError: lost,
		};
		Bun.connect({ fd, socket } as unknown as Parameters<typeof Bun.connect>[0]).catch(lost);
	}

	private lost(fd: number): void {
		if (this.closed || fd !== this.fd) return;
		this.fd = -1;
		this.socket = undefined;
		this.open();
		this.onLost();
	}
}
