import { afterEach, describe, expect, test } from "bun:test";
import { type DecodedPacket, decode, encode, type Packet, streamEncode } from "dns-packet";
import type { NameDirectory } from "../engine/names/contract.ts";
import { silentLogger } from "../shared/log.ts";
import { createForwarder, limited, type Upstream } from "./forward.ts";
import type { Query } from "./message.ts";
import { createDnsServer, type DnsServer } from "./server.ts";

const HOST = "127.0.0.77";
const undo: (() => void)[] = [];
afterEach(() => {
	for (const close of undo.splice(0)) close();
});

const names: Record<string, string[]> = {
	web: ["172.20.0.2"],
	none: [],
	many: Array.from({ length: 90 }, (_, i) => `10.0.0.${i}`),
};
const directory: NameDirectory = {
	fromSandbox: (_id, name) => names[name],
	fromHost: (name) => names[name],
	nameOf: (address) => (address === "172.20.0.2" ? "web.fd.local" : undefined),
	mayAskOutside: () => true,
	mayAskHost: () => true,
};

function startServer(upstreams: Upstream[] = [], timeoutMs = 60): DnsServer {
	const forward = createForwarder({ upstreams: () => upstreams, timeoutMs, attempts: 1 });
	const server = createDnsServer({ address: HOST, port: 0, domain: "fd.local", directory, forward, log: silentLogger });
	undo.push(server.close);
	return server;
}

async function exchange(port: number, message: Uint8Array, waitMs = 1000): Promise<Buffer | undefined> {
	const { promise, resolve } = Promise.withResolvers<Buffer | undefined>();
	const timer = setTimeout(resolve, waitMs, undefined);
	const socket = await Bun.udpSocket({
		socket: { data: (_s, data: Buffer) => resolve(Buffer.from(data)), error: () => resolve(undefined) },
	});
	socket.send(message, port, HOST);
	const reply = await promise;
	clearTimeout(timer);
	socket.close();
	return reply;
}

function question(name: string, type = "A", extra: Packet = {}): Buffer {
	return encode({ type: "query", id: 4711, flags: 0x100, questions: [{ name, type: type as "A" }], ...extra });
}

async function ask(
	server: DnsServer,
	name: string,
	type = "A",
	extra: Packet = {},
): Promise<DecodedPacket & { rcode: string }> {
	const reply = await exchange(server.udpPort, question(name, type, extra));
	if (!reply) throw new Error("no reply");
	return decode(reply) as DecodedPacket & { rcode: string };
}

async function askTcp(port: number, messages: Uint8Array[], replies: number): Promise<DecodedPacket[]> {
	const { promise, resolve } = Promise.withResolvers<void>();
	const decoded: DecodedPacket[] = [];
	let received = Buffer.alloc(0);
	const socket = await Bun.connect({
		hostname: HOST,
		port,
		socket: {
			data(_s, chunk) {
				received = Buffer.concat([received, chunk]);
				while (received.length >= 2 && received.length >= 2 + received.readUInt16BE(0)) {
					const end = 2 + received.readUInt16BE(0);
					decoded.push(decode(received.subarray(2, end)));
					received = received.subarray(end);
				}
				if (decoded.length >= replies) resolve();
			},
			close: () => resolve(),
		},
	});
	for (const message of messages) {
		socket.write(message);
		await Bun.sleep(2);
	}
	await promise;
	socket.terminate();
	return decoded;
}

type Behaviour = (query: DecodedPacket, raw: Buffer) => Uint8Array[];

/** A UDP upstream, and a TCP one on the same port. */
async function fakeUpstream(
	udp: Behaviour,
	tcp: Behaviour = udp,
): Promise<Upstream & { asked: { id: number; port: number; raw: Buffer }[] }> {
	const asked: { id: number; port: number; raw: Buffer }[] = [];
	const listener = Bun.listen({
		hostname: HOST,
		port: 0,
		socket: {
			data(socket, chunk) {
				for (const reply of tcp(decode(chunk.subarray(2)), chunk.subarray(2))) {
					socket.write(Buffer.concat([Buffer.from([reply.length >> 8, reply.length & 255]), reply]));
				}
			},
		},
	});
	const socket = await Bun.udpSocket({
		hostname: HOST,
		port: listener.port,
		socket: {
			data(own, data: Buffer, port, address) {
				const raw = Buffer.from(data);
				const query = decode(raw);
				asked.push({ id: query.id ?? 0, port, raw });
				for (const reply of udp(query, raw)) own.send(reply, port, address);
			},
		},
	});
	undo.push(() => {
		listener.stop(true);
		socket.close();
	});
	return { address: HOST, port: listener.port, asked };
}

function answerOf(query: DecodedPacket, data: string, flags = 0x180, id = query.id ?? 0): Buffer {
	const [asked] = query.questions ?? [];
	return encode({
		type: "response",
		id,
		flags,
		questions: query.questions ?? [],
		answers: [{ type: "A", name: asked?.name ?? "", ttl: 60, data }],
	});
}

describe("host-side zone", () => {
	test("answers A of a container, authoritative, and echoes the question's letter case", async () => {
		const reply = await ask(startServer(), "wEb.Fd.LOCAL");
		expect(reply.id).toBe(4711);
		expect(reply.rcode).toBe("NOERROR");
		expect(reply.flag_aa).toBe(true);
		expect(reply.questions?.[0]?.name).toBe("wEb.Fd.LOCAL");
		expect(reply.answers).toMatchObject([{ name: "wEb.Fd.LOCAL", type: "A", ttl: 1, data: "172.20.0.2" }]);
	});

	test.each([
		["web.fd.local", "AAAA"],
		["web.fd.local", "MX"],
		["none.fd.local", "A"],
		["fd.local", "A"],
	])("%s %s is NODATA with the zone's SOA", async (name, type) => {
		const reply = await ask(startServer(), name, type);
		expect(reply.rcode).toBe("NOERROR");
		expect(reply.answers).toEqual([]);
		expect(reply.authorities).toMatchObject([
			{ name: "fd.local", type: "SOA", ttl: 1, data: { mname: "fd.local", rname: "hostmaster.fd.local", minimum: 1 } },
		]);
	});

	test.each(["ghost.fd.local", "a.web.fd.local"])("%s is NXDOMAIN with SOA", async (name) => {
		const reply = await ask(startServer(), name);
		expect(reply.rcode).toBe("NXDOMAIN");
		expect(reply.flag_aa).toBe(true);
		expect(reply.authorities?.[0]?.type).toBe("SOA");
	});

	test("the apex answers SOA, ANY gives the addresses, PTR the name", async () => {
		const server = startServer();
		expect((await ask(server, "fd.local", "SOA")).answers?.[0]?.type).toBe("SOA");
		expect((await ask(server, "web.fd.local", "ANY")).answers).toMatchObject([{ type: "A", data: "172.20.0.2" }]);
		expect((await ask(server, "2.0.20.172.in-addr.arpa", "PTR")).answers).toMatchObject([
			{ type: "PTR", data: "web.fd.local" },
		]);
	});

	test("a bare name is not ours on the host, and zone transfers are refused", async () => {
		expect((await ask(startServer(), "web")).rcode).toBe("SERVFAIL");
		expect((await ask(startServer(), "fd.local", "AXFR")).rcode).toBe("REFUSED");
	});

	test("sets TC above 512 bytes, and above 1232 with EDNS; TCP gives all", async () => {
		const server = startServer();
		const plain = await ask(server, "many.fd.local");
		expect(plain.flag_tc).toBe(true);
		expect(plain.answers).toEqual([]);
		const opt = {
			type: "OPT" as const,
			name: "." as const,
			udpPayloadSize: 4096,
			flags: 0,
			options: [],
			extendedRcode: 0,
			ednsVersion: 0,
			flag_do: false,
		};
		const wide = await ask(server, "many.fd.local", "A", { additionals: [opt] });
		expect(wide.flag_tc).toBe(true);
		expect(wide.additionals).toMatchObject([{ type: "OPT", udpPayloadSize: 1232, extendedRcode: 0 }]);
		const tcp = await askTcp(
			server.tcpPort,
			[streamEncode({ type: "query", id: 1, questions: [{ name: "many.fd.local", type: "A" }] })],
			1,
		);
		expect(tcp[0]?.answers).toHaveLength(90);
		expect(
			(await ask(server, "web.fd.local", "A", { additionals: [{ ...opt, ednsVersion: 3 }] })).additionals,
		).toMatchObject([{ extendedRcode: 1 }]);
	});

	test("TCP takes messages byte by byte and several at once", async () => {
		const server = startServer();
		const one = streamEncode({ type: "query", id: 1, questions: [{ name: "web.fd.local", type: "A" }] });
		const two = streamEncode({ type: "query", id: 2, questions: [{ name: "ghost.fd.local", type: "A" }] });
		const all = Buffer.concat([one, two]);
		const bytes = Array.from({ length: 20 }, (_, i) => all.subarray(i, i + 1));
		const replies = await askTcp(server.tcpPort, [...bytes, all.subarray(20)], 2);
		expect(replies.map((reply) => reply.id)).toEqual([1, 2]);
	});

	test("an address in use is a conflict that names it", () => {
		const server = startServer();
		const open = () =>
			createDnsServer({
				address: HOST,
				port: server.udpPort,
				domain: "fd.local",
				directory,
				forward: createForwarder({ upstreams: () => [] }),
				log: silentLogger,
			});
		expect(open).toThrow(`cannot answer DNS on ${HOST}:${server.udpPort}/udp`);
	});
});

describe("bad messages", () => {
	test("are refused, or dropped where no reply is due", async () => {
		const server = startServer();
		const rcodeFor = async (change: (message: Buffer) => Buffer | undefined) => {
			const message = question("web.fd.local");
			const reply = await exchange(server.udpPort, change(message) ?? message, 40);
			return reply && (reply[3] ?? 0) & 15;
		};
		expect(await rcodeFor((m) => void m.writeUInt16BE(3, m.length - 2))).toBe(5);
		expect(await rcodeFor((m) => void m.writeUInt8(0x28, 2))).toBe(4);
		expect(await rcodeFor((m) => void m.writeUInt16BE(2, 4))).toBe(1);
		expect(await rcodeFor((m) => m.subarray(0, 20))).toBe(1);
		expect(await rcodeFor((m) => void m.writeUInt8(0xc0, 12))).toBe(1);
		expect(await rcodeFor((m) => void m.writeUInt16BE(1, 10))).toBe(1);
		expect(await rcodeFor((m) => m.subarray(0, 11))).toBeUndefined();
		expect(await rcodeFor((m) => void m.writeUInt8(0x81, 2))).toBeUndefined();
		expect((await ask(server, "web.fd.local")).rcode).toBe("NOERROR");
	});

	test("a dot inside a label does not reach our names", async () => {
		const message = question("webxfd.local");
		message[16] = 0x2e;
		const reply = await exchange(startServer().udpPort, message);
		expect((reply?.[3] ?? 0) & 15).toBe(2);
	});
});

describe("forwarding", () => {
	test("passes EDNS on under another id and fresh ports, and gives the reply under the client's id", async () => {
		const upstream = await fakeUpstream((query) => [answerOf(query, "192.0.2.1")]);
		const server = startServer([upstream]);
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
		for (let i = 0; i < 4; i++) {
			const reply = await ask(server, "example.org", "A", { additionals: [opt] });
			expect(reply.id).toBe(4711);
			expect(reply.answers).toMatchObject([{ data: "192.0.2.1" }]);
		}
		expect(decode(upstream.asked[0]?.raw ?? Buffer.alloc(0)).additionals).toMatchObject([{ udpPayloadSize: 1400 }]);
		expect(new Set(upstream.asked.map(({ id }) => id)).size).toBeGreaterThan(2);
		expect(new Set(upstream.asked.map(({ port }) => port)).size).toBeGreaterThan(2);
	});

	test("believes neither a wrong id nor a wrong question", async () => {
		const upstream = await fakeUpstream((query) => [
			answerOf(query, "6.6.6.6", 0x180, (query.id ?? 0) ^ 1),
			answerOf({ ...query, questions: [{ name: "evil.org", type: "A" }] } as DecodedPacket, "6.6.6.6"),
			answerOf(query, "192.0.2.1"),
		]);
		expect((await ask(startServer([upstream]), "example.org")).answers).toMatchObject([{ data: "192.0.2.1" }]);
	});

	test("asks the next server on silence, SERVFAIL and a closed port", async () => {
		const silent = await fakeUpstream(() => []);
		const failing = await fakeUpstream((query) => [
			encode({ type: "response", id: query.id ?? 0, flags: 2, questions: query.questions ?? [] }),
		]);
		const good = await fakeUpstream((query) => [answerOf(query, "192.0.2.9")]);
		const server = startServer([silent, { address: HOST, port: 1 }, failing, good]);
		expect((await ask(server, "example.org")).answers).toMatchObject([{ data: "192.0.2.9" }]);
	});

	test("is SERVFAIL without upstream and when all are silent", async () => {
		expect((await ask(startServer(), "example.org")).rcode).toBe("SERVFAIL");
		const silent = await fakeUpstream(() => []);
		expect((await ask(startServer([silent]), "example.org")).rcode).toBe("SERVFAIL");
	});

	test("a truncated reply reaches a UDP client as such, and is fetched by TCP for a TCP client", async () => {
		const upstream = await fakeUpstream(
			(query) => [encode({ type: "response", id: query.id ?? 0, flags: 0x380, questions: query.questions ?? [] })],
			(query) => [answerOf(query, "192.0.2.5")],
		);
		const server = startServer([upstream]);
		expect((await ask(server, "example.org")).flag_tc).toBe(true);
		const tcp = await askTcp(
			server.tcpPort,
			[streamEncode({ type: "query", id: 9, questions: [{ name: "example.org", type: "A" }] })],
			1,
		);
		expect(tcp[0]?.id).toBe(9);
		expect(tcp[0]?.answers).toMatchObject([{ data: "192.0.2.5" }]);
	});

	test("cuts an upstream's reply that is larger than the client takes", async () => {
		const upstream = await fakeUpstream((query) => {
			const answers = Array.from({ length: 60 }, () => ({
				type: "A" as const,
				name: "example.org",
				ttl: 1,
				data: "192.0.2.1",
			}));
			return [encode({ type: "response", id: query.id ?? 0, questions: query.questions ?? [], answers })];
		});
		const reply = await ask(startServer([upstream]), "example.org");
		expect(reply.flag_tc).toBe(true);
		expect(reply.answers).toEqual([]);
	});

	test("caps the queries under way", async () => {
		const silent = await fakeUpstream(() => []);
		const forward = createForwarder({ upstreams: () => [silent], timeoutMs: 100, attempts: 1, maxInFlight: 1 });
		const server = createDnsServer({
			address: HOST,
			port: 0,
			domain: "fd.local",
			directory,
			forward,
			log: silentLogger,
		});
		undo.push(server.close);
		const first = ask(server, "one.org");
		await Bun.sleep(20);
		const started = performance.now();
		expect((await ask(server, "two.org")).rcode).toBe("SERVFAIL");
		expect(performance.now() - started).toBeLessThan(60);
		await first;
		expect(silent.asked).toHaveLength(1);
	});

	test("believes no other address or port, whatever it knows of the query", async () => {
		const upstream = await fakeUpstream(() => []);
		const forward = createForwarder({ upstreams: () => [upstream], timeoutMs: 150, attempts: 1 });
		const server = createDnsServer({
			address: HOST,
			port: 0,
			domain: "fd.local",
			directory,
			forward,
			log: silentLogger,
		});
		undo.push(server.close);
		const answer = ask(server, "example.org");
		while (upstream.asked.length === 0) await Bun.sleep(1);
		const { port = 0, raw = Buffer.alloc(0) } = upstream.asked[0] ?? {};
		for (const hostname of [HOST, "127.0.0.66"]) {
			const impostor = await Bun.udpSocket({ hostname, port: 0, socket: { error() {} } });
			undo.push(() => impostor.close());
			impostor.send(answerOf(decode(raw), "6.6.6.6"), port, HOST);
		}
		expect((await answer).rcode).toBe("SERVFAIL");
	});

	test("a limit lets so many be under way, and goes on when they are done", async () => {
		const waiting: (() => void)[] = [];
		const slow = { answer: () => new Promise<Uint8Array>((resolve) => waiting.push(() => resolve(new Uint8Array()))) };
		const handler = limited(slow, 2);
		const query = {} as Query;
		const first = [handler.answer(query), handler.answer(query)];
		await expect(handler.answer(query)).rejects.toThrow("too many forwarded queries: 2");
		for (const done of waiting.splice(0)) done();
		await Promise.all(first);
		expect(handler.answer(query)).toBeInstanceOf(Promise);
		expect(limited({ answer: () => undefined }, 1).answer(query)).toBeUndefined();
	});
});
