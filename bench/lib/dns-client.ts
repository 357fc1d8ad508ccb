// bun dns-client.ts ADDRESS PORT NAME rate|latency: asks for NAME's address by UDP, prints answers per second or the median of one question's time, us.

const MEASURE_MS = 1500;
const SOCKETS = 4;
/** Questions under way per socket. */
const WINDOW = 16;
/** A lost datagram must not end the round. */
const STALL_MS = 100;
const SAMPLES = 3000;

/** One question: header with `id`, the name, type A, class IN. */
function question(name: string, id: number): Buffer {
	const labels = name.split(".").flatMap((label) => [Buffer.of(label.length), Buffer.from(label)]);
	const header = Buffer.from([id >> 8, id & 255, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
	return Buffer.concat([header, ...labels, Buffer.of(0, 0, 1, 0, 1)]);
}

/** Only an answer with a record counts. */
function check(reply: Buffer): void {
	if ((reply.readUInt16BE(2) & 15) !== 0 || reply.readUInt16BE(6) === 0) throw new Error("the name has no address");
}

type Ask = (onReply: (reply: Buffer) => void) => Promise<{ send(message: Buffer): void; close(): void }>;

async function rate(ask: Ask, name: string): Promise<number> {
	let answered = 0;
	let next = 0;
	const begin = performance.now();
	const one = async () => {
		let seen = 0;
		const socket = await ask((reply) => {
			check(reply);
			seen++;
			answered++;
			socket.send(question(name, ++next & 0xffff));
		});
		const fill = () => {
			for (let i = 0; i < WINDOW; i++) socket.send(question(name, ++next & 0xffff));
		};
		fill();
		let before = -1;
		const watch = setInterval(() => {
			if (seen === before) fill();
			before = seen;
		}, STALL_MS);
		await Bun.sleep(MEASURE_MS);
		clearInterval(watch);
		socket.close();
	};
	await Promise.all(Array.from({ length: SOCKETS }, one));
	return answered / ((performance.now() - begin) / 1000);
}

async function latency(ask: Ask, name: string): Promise<number> {
	let arrived: (reply: Buffer) => void = () => {};
	const socket = await ask((reply) => arrived(reply));
	const times: number[] = [];
	for (let i = 0; i < SAMPLES; i++) {
		const { promise, resolve } = Promise.withResolvers<Buffer>();
		arrived = resolve;
		const begin = performance.now();
		socket.send(question(name, i));
		check(await promise);
		times.push((performance.now() - begin) * 1000);
	}
	socket.close();
	return times.sort((a, b) => a - b)[SAMPLES >> 1] ?? Number.NaN;
}

async function main(address = "", port = "", name = "", mode = ""): Promise<void> {
	const ask: Ask = (onReply) =>
		Bun.udpSocket({
			connect: { hostname: address, port: Number(port) },
			socket: { data: (_, reply) => onReply(reply) },
		});
	console.log(await (mode === "rate" ? rate(ask, name) : latency(ask, name)));
}

await main(...process.argv.slice(2));
process.exit(0);

export {};
