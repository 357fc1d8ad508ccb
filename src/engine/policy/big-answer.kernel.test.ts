import { afterAll, afterEach, beforeAll, expect, test } from "bun:test";
import { decode, encode, RECURSION_DESIRED, TRUNCATED_RESPONSE } from "dns-packet";
import { withNetns } from "../../sys/linux/netns.ts";
import { ask, HOST, serveTcp } from "../../sys/linux/testing/outside-host.ts";
import { PolicyHost } from "../../testing/policy-host.ts";

/** Names whose answers are longer than a datagram of 512 bytes: asked by TCP, or with EDNS. */
const LAST = "198.51.100.3";
/** 60 records of 16 bytes, the one that somebody is at behind all others. */
const ADDRESSES = [...Array.from({ length: 59 }, (_, at) => `192.0.2.${at + 1}`), LAST];
const servers: Disposable[] = [];
let host: PolicyHost;

beforeAll(async () => {
	host = new PolicyHost([LAST]);
	servers.push(serveTcp(host.outside, 80, "outside"), ...serveBig(host.outside));
	await host.start();
	await host.createNetwork("blue");
});

afterAll(async () => {
	for (const server of servers) server[Symbol.dispose]();
	await host.close();
});

afterEach(() => host.clear());

test("an address counts once its answer has reached the sandbox: not that of a cut one, that of TCP and of EDNS", async () => {
	const lock = { name: "lock", select: { all: true }, default: { egress: "deny" } };
	host.apply({ ...lock, rules: [{ action: "allow", to: ["big.example.org:80"] }] });
	for (const [name, asking] of [
		["by-tcp", byTcp],
		["by-edns", (path: string) => byUdp(path, true)],
	] as const) {
		const { path } = await host.on(name, "blue");
		expect(await byUdp(path, false)).toEqual({ isCut: true, addresses: [] });
		expect(await ask(path, LAST, 80)).toBe("closed");
		expect(await asking(path)).toEqual({ isCut: false, addresses: ADDRESSES });
		expect(await ask(path, LAST, 80)).toBe(`outside;${HOST}`);
	}
	const { path } = await host.on("curious", "blue");
	expect(await byTcp(path, "other.example.org")).toEqual({ isCut: false, addresses: [] });
	expect(host.policies.denied().map(({ sandbox, peer }) => `${sandbox} ${peer}`)).toContain(
		"curious other.example.org",
	);
});

/** A name server: cut short by UDP but with EDNS, whole by TCP. */
function serveBig(path: string): Disposable[] {
	const answer = (bytes: Buffer, isWhole: (size: number) => boolean) => {
		const { id = 0, questions = [], additionals = [] } = decode(bytes);
		const size = additionals.flatMap((one) => (one.type === "OPT" ? [one.udpPayloadSize] : []))[0] ?? 512;
		const name = questions[0]?.name ?? "";
		const answers = ADDRESSES.map((data) => ({ type: "A" as const, name, ttl: 60, data }));
		return isWhole(size)
			? encode({ type: "response", id, questions, answers })
			: encode({ type: "response", id, questions, flags: TRUNCATED_RESPONSE });
	};
	return withNetns(path, () => {
		const datagrams = Bun.udpSocket({
			hostname: "0.0.0.0",
			port: 53,
			socket: {
				data: (own, bytes: Buffer, port, client) =>
					void own.send(
						answer(bytes, (size) => size > 1000),
						port,
						client,
					),
			},
		});
		const streams = Bun.listen({
			hostname: "0.0.0.0",
			port: 53,
			socket: { data: (own, bytes) => void own.write(framed(answer(bytes.subarray(2), () => true))) },
		});
		const closing = { [Symbol.dispose]: () => void datagrams.then((one) => one.close()) };
		return [closing, { [Symbol.dispose]: () => streams.stop(true) }];
	});
}

async function byUdp(path: string, hasEdns: boolean) {
	const { promise, resolve } = Promise.withResolvers<Buffer>();
	const opening = withNetns(path, () =>
		Bun.udpSocket({ hostname: "0.0.0.0", socket: { data: (_, bytes: Buffer) => resolve(Buffer.from(bytes)) } }),
	);
	const socket = await opening;
	socket.send(query("big.example.org", hasEdns), 53, "127.0.0.11");
	const reply = await promise;
	socket.close();
	return told(reply);
}

async function byTcp(path: string, name = "big.example.org") {
	const { promise, resolve } = Promise.withResolvers<Buffer>();
	let received = Buffer.alloc(0);
	const opening = withNetns(path, () =>
		Bun.connect({
			hostname: "127.0.0.11",
			port: 53,
			socket: {
				open: (own) => void own.write(framed(query(name, false))),
				data(_, bytes) {
					received = Buffer.concat([received, bytes]);
					if (received.length >= 2 + received.readUInt16BE(0)) resolve(received.subarray(2));
				},
			},
		}),
	);
	const socket = await opening;
	const reply = await promise;
	socket.terminate();
	return told(reply);
}

function query(name: string, hasEdns: boolean): Buffer {
	const edns = { udpPayloadSize: 4096, extendedRcode: 0, ednsVersion: 0, flags: 0, flag_do: false, options: [] };
	const additionals = hasEdns ? [{ type: "OPT" as const, name: "." as const, ...edns }] : [];
	return encode({ type: "query", id: 7, flags: RECURSION_DESIRED, questions: [{ name, type: "A" }], additionals });
}

function told(reply: Buffer) {
	const { answers = [], flag_tc: isCut = false } = decode(reply);
	return { isCut, addresses: answers.flatMap((one) => (one.type === "A" ? [one.data] : [])) };
}

function framed(message: Uint8Array): Buffer {
	const length = Buffer.alloc(2);
	length.writeUInt16BE(message.length);
	return Buffer.concat([length, message]);
}
