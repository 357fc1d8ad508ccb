import { ptr } from "bun:ffi";
import { check, libc, SyscallError } from "./libc.ts";

const AF_NETLINK = 16;
const SOCK_RAW = 3;
const SOCK_CLOEXEC = 0o2000000;
const SOL_NETLINK = 270;
const NETLINK_GET_STRICT_CHK = 12;
const NLMSG_ERROR = 2;
const NLMSG_DONE = 3;
const ENODATA = 61;
const NLM_F_REQUEST = 1;
const NLM_F_ACK = 4;
export const NLM_F_DUMP = 0x300;
export const NLM_F_REPLACE = 0x100;
export const NLM_F_EXCL = 0x200;
export const NLM_F_CREATE = 0x400;

export const NETLINK_ROUTE = 0;
export const NETLINK_NETFILTER = 12;

/** One request: message type, flags beyond REQUEST and ACK, the fixed header, then attributes. */
export interface NetlinkRequest {
	readonly type: number;
	readonly flags?: number;
	readonly body: Uint8Array;
	/** For the error text: `ip link add fd0 type bridge`. */
	readonly twin: string;
}

/** A reply of a dump: `type` of the message, everything after its header. */
export interface NetlinkMessage {
	readonly type: number;
	readonly body: Uint8Array;
}

/** One socket of a netlink protocol. It stays in the network namespace it was opened in. Every call is synchronous. */
export class NetlinkSocket implements Disposable {
	private readonly fd: number;
	private sequence = 1;
	private filters = false;
	private readonly buffer = new Uint8Array(1 << 17);

	constructor(protocol: number) {
		this.fd = check(libc.socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, protocol), "socket AF_NETLINK");
	}

	/** Sends all requests in one datagram and waits for each one's acknowledgement. Throws the first SyscallError, named by the request's twin. */
	request(...requests: readonly NetlinkRequest[]): void {
		const first = this.send(requests, NLM_F_ACK);
		let failed: SyscallError | undefined;
		let left = requests.length;
		while (left > 0) {
			for (const message of this.receive()) {
				if (message.type !== NLMSG_ERROR) continue;
				left--;
				const code = -view(message.body).getInt32(0, true);
				const request = requests[message.sequence - first];
				if (code !== 0) failed ??= new SyscallError(request?.twin ?? "netlink", code);
			}
		}
		if (failed) throw failed;
	}

	/** The one message that answers. Throws SyscallError, named by the request's twin. */
	get(request: NetlinkRequest): NetlinkMessage {
		this.send([request], 0);
		const [message] = this.receive();
		if (!message) throw new SyscallError(request.twin, ENODATA);
		if (message.type === NLMSG_ERROR) throw new SyscallError(request.twin, -view(message.body).getInt32(0, true));
		return message;
	}

	/** The one message that answers a question which is no dump. */
	ask(request: NetlinkRequest): NetlinkMessage {
		this.send([request], 0);
		const [message] = this.receive();
		if (message?.type === NLMSG_ERROR) throw new SyscallError(request.twin, -view(message.body).getInt32(0, true));
		if (!message) throw new SyscallError(request.twin, 0);
		return message;
	}

	/** All messages of a dump. `filtered`: those alone that agree with the header of the request, where the kernel (since 4.20) knows how to. */
	dump(request: NetlinkRequest, filtered = false): NetlinkMessage[] {
		if (filtered !== this.filters) this.setFilters(filtered);
		const found: NetlinkMessage[] = [];
		for (const part of this.dumpParts(request)) for (const message of part) found.push(message);
		return found;
	}

	/** The messages of a dump as the kernel looks for them, some at a time, for one who must not hold the thread until all are there. Until the last one the socket is of no other use. */
	*dumpParts(request: NetlinkRequest): Generator<NetlinkMessage[]> {
		this.send([{ ...request, flags: NLM_F_DUMP }], 0);
		for (;;) {
			const part: NetlinkMessage[] = [];
			for (const message of this.receive()) {
				if (message.type === NLMSG_ERROR) throw new SyscallError(request.twin, -view(message.body).getInt32(0, true));
				if (message.type === NLMSG_DONE) {
					yield part;
					return;
				}
				part.push(message);
			}
			yield part;
		}
	}

	[Symbol.dispose](): void {
		libc.close(this.fd);
	}

	private setFilters(on: boolean): void {
		const flag = Int32Array.of(on ? 1 : 0);
		// Where the kernel has no such option, dumps are whole.
		libc.setsockopt(this.fd, SOL_NETLINK, NETLINK_GET_STRICT_CHK, ptr(flag), flag.byteLength);
		this.filters = on;
	}

	private send(requests: readonly NetlinkRequest[], extra: number): number {
		const first = this.sequence;
		const data = joinBytes(
			requests.map(({ type, flags = 0, body }) => {
				const header = new Uint8Array(16);
				const fields = view(header);
				fields.setUint32(0, 16 + body.length, true);
				fields.setUint16(4, type, true);
				fields.setUint16(6, flags | NLM_F_REQUEST | extra, true);
				fields.setUint32(8, this.sequence++, true);
				return joinBytes([header, pad4(body)]);
			}),
		);
		check(libc.sendto(this.fd, ptr(data), data.length, 0, null, 0), "send netlink");
		return first;
	}

	private receive(): (NetlinkMessage & { sequence: number })[] {
		const length = check(libc.recv(this.fd, ptr(this.buffer), this.buffer.length, 0), "recv netlink");
		return messagesOf(this.buffer.slice(0, length));
	}
}

/** Links, addresses and routes. */
export class RouteSocket extends NetlinkSocket {
	constructor() {
		super(NETLINK_ROUTE);
	}
}

/** The messages of one datagram. */
export function messagesOf(datagram: Uint8Array): (NetlinkMessage & { sequence: number })[] {
	const fields = view(datagram);
	const found = [];
	for (let at = 0; at + 16 <= datagram.length; ) {
		const size = fields.getUint32(at, true);
		if (size < 16) break;
		found.push({
			type: fields.getUint16(at + 4, true),
			sequence: fields.getUint32(at + 8, true),
			body: datagram.subarray(at + 16, at + size),
		});
		at += (size + 3) & ~3;
	}
	return found;
}

/** One attribute (struct nlattr) with its padding. */
export function attribute(type: number, value: Uint8Array | string | number): Uint8Array {
	const payload = typeof value === "string" ? cstringBytes(value) : typeof value === "number" ? u32(value) : value;
	const out = new Uint8Array((4 + payload.length + 3) & ~3);
	view(out).setUint16(0, 4 + payload.length, true);
	view(out).setUint16(2, type, true);
	out.set(payload, 4);
	return out;
}

/** The attributes that follow a fixed header of `offset` bytes; of equal types the last one. */
export function attributesOf(body: Uint8Array, offset: number): Map<number, Uint8Array> {
	const found = new Map<number, Uint8Array>();
	const fields = view(body);
	for (let at = offset; at + 4 <= body.length; ) {
		const size = fields.getUint16(at, true);
		if (size < 4) break;
		found.set(fields.getUint16(at + 2, true) & 0x3fff, body.subarray(at + 4, at + size));
		at += (size + 3) & ~3;
	}
	return found;
}

/** A 32-bit number in host order, as rtnetlink has them. */
export function numberOf(attributes: ReadonlyMap<number, Uint8Array>, type: number): number | undefined {
	const value = attributes.get(type);
	return value && view(value).getUint32(0, true);
}

/** An IPv4 address; undefined where there is none or one of another family. */
export function ipv4Of(attributes: ReadonlyMap<number, Uint8Array>, type: number): number | undefined {
	const value = attributes.get(type);
	return value?.length === 4 ? view(value).getUint32(0) : undefined;
}

export function joinBytes(parts: readonly Uint8Array[]): Uint8Array {
	const out = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
	let at = 0;
	for (const part of parts) {
		out.set(part, at);
		at += part.length;
	}
	return out;
}

export function u32(value: number): Uint8Array {
	const out = new Uint8Array(4);
	view(out).setUint32(0, value, true);
	return out;
}

export function view(bytes: Uint8Array): DataView {
	return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** Text up to its NUL. */
export function textOf(bytes: Uint8Array | undefined): string {
	return bytes ? new TextDecoder().decode(bytes).replace(/\0.*$/s, "") : "";
}

function cstringBytes(text: string): Uint8Array {
	return new TextEncoder().encode(`${text}\0`);
}

function pad4(bytes: Uint8Array): Uint8Array {
	return bytes.length % 4 === 0 ? bytes : joinBytes([bytes, new Uint8Array(4 - (bytes.length % 4))]);
}
