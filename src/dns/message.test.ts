import { expect, test } from "bun:test";
import { encode } from "dns-packet";
import { addressOfReverse } from "./handlers.ts";
import { encodeAnswer, isReplyTo, parseQuery, RCODE } from "./message.ts";

const opt = {
	type: "OPT" as const,
	name: "." as const,
	udpPayloadSize: 1400,
	flags: 0,
	options: [],
	extendedRcode: 0,
	ednsVersion: 0,
	flag_do: false,
};
const message = encode({ type: "query", id: 3, questions: [{ name: "Web.fd.local", type: "A" }], additionals: [opt] });

test("parseQuery() lowers the name and reads EDNS", () => {
	expect(parseQuery(message, "udp", "127.0.0.1")).toMatchObject({
		name: "web.fd.local",
		type: 1,
		udpSize: 1400,
		edns: 0,
	});
});

test("parseQuery() and encodeAnswer() survive every cut and 20,000 random changes", () => {
	const handle = (bytes: Uint8Array) => {
		const query = parseQuery(bytes, "udp", "127.0.0.1");
		if (typeof query !== "object") return;
		expect(query.questionEnd).toBeLessThanOrEqual(bytes.length);
		encodeAnswer(query, { rcode: RCODE.NXDOMAIN, authoritative: true, records: [], soa: "fd.local" });
	};
	for (let length = 0; length < message.length; length++) handle(message.subarray(0, length));
	let seed = 1;
	const next = (below: number) => {
		seed = (seed * 48271) % 2147483647;
		return seed % below;
	};
	for (let i = 0; i < 20_000; i++) {
		const changed = Uint8Array.from(message);
		for (let n = 0; n < 3; n++) changed[next(changed.length)] = next(256);
		handle(changed);
	}
});

test("a name longer than 255 bytes is malformed", () => {
	const labels = Array.from({ length: 5 }, () => [63, ...Array<number>(63).fill(97)]).flat();
	expect(
		parseQuery(Uint8Array.from([0, 1, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, ...labels, 0, 0, 1, 0, 1]), "udp", "127.0.0.1"),
	).toBe(RCODE.FORMERR);
});

test("encodeAnswer() writes IPv6 addresses, shortened ones too", () => {
	const query = parseQuery(message, "udp", "127.0.0.1");
	if (typeof query !== "object") throw new Error("not parsed");
	const reply = encodeAnswer(query, { rcode: 0, authoritative: true, records: [{ type: "AAAA", data: "fd00::2:1" }] });
	expect(Buffer.from(reply).toString("hex")).toContain("0010fd000000000000000000000000020001");
});

test("isReplyTo() wants the QR bit, the id and the question", () => {
	const questionEnd = message.length - 11;
	const reply = Uint8Array.from(message);
	expect(isReplyTo(message, questionEnd, reply)).toBe(false);
	reply[2] = 0x80;
	expect(isReplyTo(message, questionEnd, reply)).toBe(true);
	expect(isReplyTo(message, questionEnd, reply.slice(0, questionEnd - 1))).toBe(false);
	reply[13] = 0x78;
	expect(isReplyTo(message, questionEnd, reply)).toBe(false);
});

test("addressOfReverse() turns only whole in-addr.arpa names", () => {
	expect(addressOfReverse("2.0.20.172.in-addr.arpa")).toBe("172.20.0.2");
	expect(addressOfReverse("0.20.172.in-addr.arpa")).toBeUndefined();
});
