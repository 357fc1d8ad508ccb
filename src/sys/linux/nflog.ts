import { ptr } from "bun:ffi";
import { check, libc, SyscallError } from "./libc.ts";
import { attribute, attributesOf, joinBytes, messagesOf, NETLINK_NETFILTER, textOf, view } from "./netlink.ts";

const AF_NETLINK = 16;
const SOCK_RAW = 3;
const SOCK_NONBLOCK = 0o4000;
const SOCK_CLOEXEC = 0o2000000;
const NLM_F_REQUEST = 1;
const NLM_F_ACK = 4;
const NLMSG_ERROR = 2;
/** NFNL_SUBSYS_ULOG in the upper byte */
const PACKET = 0x400;
const CONFIG = 0x401;
const NFULA_CFG_CMD = 1;
const NFULA_CFG_MODE = 2;
const NFULA_CFG_QTHRESH = 5;
const NFULNL_CFG_CMD_BIND = 1;
const NFULNL_COPY_PACKET = 2;
const NFULA_PAYLOAD = 9;
const NFULA_PREFIX = 10;
/** Enough for an IPv6 header with a few extensions, and the ports behind it. */
const COPIED_BYTES = 128;

/** A packet that a `log group` statement told of. */
export interface LoggedPacket {
	readonly prefix: string;
	/** From the IP header on, its first 128 bytes. */
	readonly payload: Uint8Array;
}

/**
 * Hears what `log group GROUP` statements say in the namespace it is constructed in: `nft monitor trace` for one group, by events. Throws
 * SyscallError EBUSY where another program hears this group.
 */
export class PacketLog implements Disposable {
	private readonly fd: number;
	private socket: Bun.Socket | undefined;
	private closed = false;

	constructor(
		group: number,
		private readonly onPacket: (packet: LoggedPacket) => void,
	) {
		this.fd = check(
			libc.socket(AF_NETLINK, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, NETLINK_NETFILTER),
			"socket AF_NETLINK",
		);
		try {
			this.configure(group, attribute(NFULA_CFG_CMD, Uint8Array.of(NFULNL_CFG_CMD_BIND)));
			const mode = Uint8Array.of(0, 0, 0, COPIED_BYTES, NFULNL_COPY_PACKET, 0);
			this.configure(group, attribute(NFULA_CFG_MODE, mode));
			// At once: else the kernel gathers a hundred packets, or waits for a second.
			this.configure(group, attribute(NFULA_CFG_QTHRESH, Uint8Array.of(0, 0, 0, 1)));
		} catch (error) {
			libc.close(this.fd);
			throw error;
		}
		this.adopt();
	}

	[Symbol.dispose](): void {
		this.closed = true;
		this.socket?.terminate();
	}

	/** One configuration message, and its acknowledgement: the kernel queues it before send returns. */
	private configure(group: number, setting: Uint8Array): void {
		// struct nlmsghdr, struct nfgenmsg with the group in network order
		const header = new Uint8Array(20);
		const fields = view(header);
		fields.setUint32(0, header.length + setting.length, true);
		fields.setUint16(4, CONFIG, true);
		fields.setUint16(6, NLM_F_REQUEST | NLM_F_ACK, true);
		fields.setUint16(18, group);
		const message = joinBytes([header, setting]);
		check(libc.sendto(this.fd, ptr(message), message.length, 0, null, 0), "send NFULNL_MSG_CONFIG");
		const reply = new Uint8Array(4096);
		const length = check(libc.recv(this.fd, ptr(reply), reply.length, 0), "recv NFULNL_MSG_CONFIG");
		for (const { type, body } of messagesOf(reply.subarray(0, length))) {
			const code = type === NLMSG_ERROR ? -view(body).getInt32(0, true) : 0;
			if (code !== 0) throw new SyscallError(`bind packet log group ${group}`, code);
		}
	}

	/** Bun's poller takes any socket by its fd, one datagram per call. An overrun (ENOBUFS) loses packets, no more. */
	private adopt(): void {
		const socket = {
			open: (opened: Bun.Socket) => {
				this.socket = opened;
				opened.unref();
				if (this.closed) opened.terminate();
			},
			data: (_: Bun.Socket, datagram: Uint8Array) => this.read(datagram),
			close: () => {},
			error: () => {},
		};
		Bun.connect({ fd: this.fd, socket } as unknown as Parameters<typeof Bun.connect>[0]).catch(() => {});
	}

	private read(datagram: Uint8Array): void {
		for (const { type, body } of messagesOf(datagram)) {
			if (type !== PACKET) continue;
			const attributes = attributesOf(body, 4);
			const payload = attributes.get(NFULA_PAYLOAD);
			if (payload) this.onPacket({ prefix: textOf(attributes.get(NFULA_PREFIX)), payload: new Uint8Array(payload) });
		}
	}
}
