import { decode } from "dns-packet";

export const TYPE = { A: 1, SOA: 6, PTR: 12, AAAA: 28, OPT: 41, IXFR: 251, AXFR: 252, ANY: 255 } as const;
export const RCODE = { NOERROR: 0, FORMERR: 1, SERVFAIL: 2, NXDOMAIN: 3, NOTIMP: 4, REFUSED: 5 } as const;
export const HEADER = 12;
/** RFC 1035 4.2.1: what a client without EDNS takes by UDP. */
const PLAIN_UDP_SIZE = 512;
/** What we advertise and send at most by UDP (DNS flag day 2020: above this datagrams may be fragmented). */
const MAX_UDP_SIZE = 1232;

const QR = 0x8000;
const AA = 0x0400;
const TC = 0x0200;
const RD = 0x0100;
const RA = 0x0080;

/** One question as it came in. `bytes` is the whole message; the question section is echoed from it unchanged (0x20 mixed case). */
export interface Query {
	readonly bytes: Uint8Array;
	/** lower-case, without the trailing dot; "" for the root */
	readonly name: string;
	readonly type: number;
	/** Offset behind the question section. */
	readonly questionEnd: number;
	/** What the client takes by UDP, in bytes. */
	readonly udpSize: number;
	/** EDNS version; undefined without an OPT record. */
	readonly edns: number | undefined;
	readonly transport: "udp" | "tcp";
	/** The client's address. */
	readonly client: string;
}

/** Records of an answer own the question's name; `data` is an address, a name, or nothing for an SOA. */
export interface AnswerRecord {
	readonly type: "A" | "AAAA" | "PTR";
	readonly data: string;
}

/** What a handler decides; `encodeAnswer` draws the message. */
export interface Answer {
	readonly rcode: number;
	readonly authoritative: boolean;
	readonly records: readonly AnswerRecord[];
	/** Name of the zone whose SOA goes along (negative answers), or is the answer itself with `soaIsAnswer`. */
	readonly soa?: string;
	readonly soaIsAnswer?: boolean;
}

/** An asked question, the error code to answer with, or undefined for what deserves no answer (a reply, or less than a header). */
export function parseQuery(
	bytes: Uint8Array,
	transport: Query["transport"],
	client: string,
): Query | number | undefined {
	if (bytes.length < HEADER || (byte(bytes, 2) & 0x80) !== 0) return undefined;
	if ((byte(bytes, 2) & 0x78) !== 0) return RCODE.NOTIMP;
	if (uint16(bytes, 4) !== 1 || uint16(bytes, 6) !== 0) return RCODE.FORMERR;
	const name = parseName(bytes, HEADER);
	if (!name || name.end + 4 > bytes.length) return RCODE.FORMERR;
	const questionEnd = name.end + 4;
	const type = uint16(bytes, name.end);
	const edns = parseEdns(bytes, questionEnd);
	if (edns === "malformed") return RCODE.FORMERR;
	if (type === TYPE.OPT) return RCODE.FORMERR;
	if (uint16(bytes, name.end + 2) !== 1) return RCODE.REFUSED;
	const udpSize = Math.max(PLAIN_UDP_SIZE, edns?.size ?? 0);
	return { bytes, name: name.text, type, questionEnd, udpSize, edns: edns?.version, transport, client };
}

/** The message for an answer; cut to its question with TC set when it exceeds what the client takes by UDP. TTLs are 1 s: containers come and go. */
export function encodeAnswer(query: Query, answer: Answer): Uint8Array {
	const authority = answer.soa !== undefined && !answer.soaIsAnswer ? 1 : 0;
	const parts: Uint8Array[] = answer.records.map(encodeRecord);
	if (answer.soa !== undefined) parts.push(encodeSoa(answer.soa));
	const limit = query.transport === "udp" ? Math.min(query.udpSize, MAX_UDP_SIZE) : 0xffff;
	const opt = query.edns === undefined ? 0 : 11;
	const size = parts.reduce((sum, part) => sum + part.length, query.questionEnd + opt);
	const truncated = size > limit;
	const out = new Uint8Array(truncated ? query.questionEnd + opt : size);
	out.set(query.bytes.subarray(0, query.questionEnd));
	const authoritative = answer.authoritative ? AA : 0;
	const flags = QR | authoritative | (truncated ? TC : 0) | (uint16(query.bytes, 2) & RD) | RA | answer.rcode;
	setUint16(out, 2, flags);
	setUint16(out, 6, truncated ? 0 : parts.length - authority);
	setUint16(out, 8, truncated ? 0 : authority);
	setUint16(out, 10, opt > 0 ? 1 : 0);
	let at = query.questionEnd;
	for (const part of truncated ? [] : parts) {
		out.set(part, at);
		at += part.length;
	}
	if (opt > 0) writeOpt(out, at, query.edns === 0 ? 0 : 1);
	return out;
}

/** A bare error: header, and the question where it was readable. */
export function encodeError(request: Uint8Array, rcode: number, questionEnd = HEADER): Uint8Array {
	const out = new Uint8Array(request.subarray(0, questionEnd));
	setUint16(out, 2, QR | RA | (uint16(request, 2) & (0x7800 | RD)) | rcode);
	setUint16(out, 4, questionEnd > HEADER ? 1 : 0);
	out.fill(0, 6, HEADER);
	return out;
}

/** The reply fitted to the client: unchanged, or its question with TC set. */
export function fitReply(query: Query, reply: Uint8Array): Uint8Array {
	if (query.transport === "tcp" || reply.length <= query.udpSize) return reply;
	const out = new Uint8Array(reply.subarray(0, query.questionEnd));
	setUint16(out, 2, uint16(reply, 2) | TC);
	out.fill(0, 6, HEADER);
	return out;
}

export const isTruncated = (message: Uint8Array): boolean => (uint16(message, 2) & TC) !== 0;
export const rcodeOf = (message: Uint8Array): number => byte(message, 3) & 0x0f;

/** True when `reply` answers exactly this request: id, QR, and the same question but for letter case. */
export function isReplyTo(request: Uint8Array, questionEnd: number, reply: Uint8Array): boolean {
	if (reply.length < questionEnd || (byte(reply, 2) & 0x80) === 0) return false;
	if (uint16(reply, 0) !== uint16(request, 0) || uint16(reply, 4) !== 1) return false;
	for (let i = HEADER; i < questionEnd; i++) {
		if (lower(byte(reply, i)) !== lower(byte(request, i))) return false;
	}
	return true;
}

export function uint16(bytes: Uint8Array, at: number): number {
	return (byte(bytes, at) << 8) | byte(bytes, at + 1);
}

export function setUint16(bytes: Uint8Array, at: number, value: number): void {
	bytes[at] = value >> 8;
	bytes[at + 1] = value & 0xff;
}

const byte = (bytes: Uint8Array, at: number): number => bytes[at] ?? 0;
const lower = (code: number): number => (code >= 65 && code <= 90 ? code | 0x20 : code);

/** A question's name holds no compression pointer. A dot inside a label is written `\046`, so that it never equals a name of ours. */
function parseName(bytes: Uint8Array, start: number): { text: string; end: number } | undefined {
	let text = "";
	let at = start;
	for (;;) {
		const length = bytes[at++];
		if (length === undefined || length > 63 || at - start + length > 255) return undefined;
		if (length === 0) return { text, end: at };
		if (at + length > bytes.length) return undefined;
		if (text !== "") text += ".";
		for (const end = at + length; at < end; at++) {
			const code = lower(byte(bytes, at));
			text += code === 0x2e ? "\\046" : String.fromCharCode(code);
		}
	}
}

function parseEdns(bytes: Uint8Array, at: number): { size: number; version: number } | undefined | "malformed" {
	if (uint16(bytes, 10) === 0 && uint16(bytes, 8) === 0) return undefined;
	const direct =
		uint16(bytes, 8) === 0 && uint16(bytes, 10) === 1 && byte(bytes, at) === 0 && uint16(bytes, at + 1) === TYPE.OPT;
	if (direct) {
		if (at + 11 + uint16(bytes, at + 9) > bytes.length) return "malformed";
		return { size: uint16(bytes, at + 3), version: byte(bytes, at + 6) };
	}
	try {
		const opt = decode(Buffer.from(bytes)).additionals?.find((record) => record.type === "OPT");
		return opt?.type === "OPT" ? { size: opt.udpPayloadSize, version: opt.ednsVersion } : undefined;
	} catch {
		return "malformed";
	}
}

/** Owner as a pointer to the question (RFC 1035 4.1.4), class IN, TTL 1. */
function encodeRecord(record: AnswerRecord): Uint8Array {
	const data = record.type === "PTR" ? encodeName(record.data) : encodeAddress(record.data);
	const out = new Uint8Array(12 + data.length);
	out.set([0xc0, HEADER, 0, TYPE[record.type], 0, 1, 0, 0, 0, 1]);
	setUint16(out, 10, data.length);
	out.set(data, 12);
	return out;
}

function encodeSoa(zone: string): Uint8Array {
	const owner = encodeName(zone);
	const mailbox = encodeName(`hostmaster.${zone}`);
	const dataLength = owner.length + mailbox.length + 20;
	const out = new Uint8Array(owner.length + 10 + dataLength);
	out.set(owner);
	out.set([0, TYPE.SOA, 0, 1, 0, 0, 0, 1], owner.length);
	setUint16(out, owner.length + 8, dataLength);
	out.set(owner, owner.length + 10);
	out.set(mailbox, owner.length * 2 + 10);
	// serial, refresh, retry, expire, minimum (the negative TTL, RFC 2308)
	const numbers = new DataView(out.buffer, out.length - 20);
	[1, 3600, 600, 86400, 1].forEach((value, i) => {
		numbers.setUint32(i * 4, value);
	});
	return out;
}

function encodeName(name: string): Uint8Array {
	const labels = name.split(".").filter((label) => label !== "");
	const out = new Uint8Array(labels.reduce((sum, label) => sum + label.length + 1, 1));
	let at = 0;
	for (const label of labels) {
		out[at] = label.length;
		out.set(Buffer.from(label, "latin1"), at + 1);
		at += label.length + 1;
	}
	return out;
}

function encodeAddress(address: string): Uint8Array {
	if (!address.includes(":")) return Uint8Array.from(address.split("."), Number);
	const [head = "", tail] = address.split("::");
	const words = (text: string) => text.split(":").filter((word) => word !== "");
	const front = words(head);
	const back = words(tail ?? "");
	const all = [...front, ...Array<string>(8 - front.length - back.length).fill("0"), ...back];
	const out = new Uint8Array(16);
	all.forEach((word, i) => {
		setUint16(out, i * 2, Number.parseInt(word, 16));
	});
	return out;
}

/** `extendedRcode` 1 with a zero header rcode is BADVERS (RFC 6891 6.1.3). */
function writeOpt(out: Uint8Array, at: number, extendedRcode: number): void {
	out.set([0, 0, TYPE.OPT, MAX_UDP_SIZE >> 8, MAX_UDP_SIZE & 0xff, extendedRcode], at);
}
