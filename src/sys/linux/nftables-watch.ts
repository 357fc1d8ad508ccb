import { ptr } from "bun:ffi";
import { check, errno, libc } from "./libc.ts";
import { attributesOf, messagesOf, NETLINK_NETFILTER, textOf } from "./netlink.ts";

const AF_NETLINK = 16;
const SOCK_RAW = 3;
const SOCK_NONBLOCK = 0o4000;
const SOCK_CLOEXEC = 0o2000000;
const MSG_DONTWAIT = 0x40;
const ENOBUFS = 105;
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
	private fd = -1;
	private socket: Bun.Socket | undefined;
	private closed = false;
	/** The transaction whose events are coming in has one about the table. */
	private touched = false;
	private readonly buffer = new Uint8Array(1 << 17);

	/** @param table its name without the family */
	constructor(
		private readonly table: string,
		private readonly onChange: () => void,
	) {
		this.open();
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
		this.closed = true;
		if (this.socket) this.socket.terminate();
	}

	private open(): void {
		const fd = check(
			libc.socket(AF_NETLINK, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, NETLINK_NETFILTER),
			"socket AF_NETLINK",
		);
		// struct sockaddr_nl: family, padding, port (the kernel's choice), groups
		const name = new Uint8Array(new Uint32Array([AF_NETLINK, 0, GROUP]).buffer);
		try {
			check(libc.bind(fd, ptr(name), name.length), "bind NFNLGRP_NFTABLES");
		} catch (error) {
			libc.close(fd);
			throw error;
		}
		this.fd = fd;
		this.touched = false;
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
				if (this.read(datagram) > 0) this.onChange();
			},
			close: lost,
			error: lost,
			connectError: lost,
		};
		Bun.connect({ fd, socket } as unknown as Parameters<typeof Bun.connect>[0]).catch(lost);
	}

	/** More events at once than the socket's buffer holds (ENOBUFS) end it: what was missed may be about the table. */
	private lost(fd: number): void {
		if (this.closed || fd !== this.fd) return;
		this.fd = -1;
		this.socket = undefined;
		this.open();
		this.onChange();
	}

	/** Reads what is queued; how many transactions on the table ended in it. */
	private drain(): number {
		let count = 0;
		for (;;) {
			const length = Number(libc.recv(this.fd, ptr(this.buffer), this.buffer.length, MSG_DONTWAIT));
			if (length > 0) count += this.read(this.buffer.subarray(0, length));
			// Told once, go on with what there is: our own large transaction may be the cause.
			else if (length === 0 || errno() !== ENOBUFS) return count;
		}
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
