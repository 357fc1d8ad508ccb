// bun speaker.ts speak PORT TEXT [ADDRESS]: answers every TCP connection, and every datagram to ADDRESS, with TEXT;ADDRESS OF THE CLIENT
// bun speaker.ts sink PORT BYTES: reads so many bytes of each connection, then says "all"
// bun speaker.ts ask ADDRESS PORT: sends a datagram every half second for five, all from one socket, and prints the answers
// bun speaker.ts dns ADDRESS ANSWER: a DNS server that has this A record for every name

export {};

const [kind = "", first = "", second = "", third = "0.0.0.0"] = process.argv.slice(2);
/** What nothing refers to is closed sooner or later. */
const kept: unknown[] = [];

if (kind === "speak") {
	const say = (address: string) => `${second};${address}\n`;
	Bun.listen({
		hostname: "0.0.0.0",
		port: Number(first),
		socket: { open: (socket) => void socket.end(say(socket.remoteAddress)), data() {} },
	});
	kept.push(
		await Bun.udpSocket({
			hostname: third,
			port: Number(first),
			socket: { data: (socket, _, port, address) => void socket.send(say(address), port, address) },
		}),
	);
} else if (kind === "sink") {
	Bun.listen<{ left: number }>({
		hostname: "0.0.0.0",
		port: Number(first),
		socket: {
			open(socket) {
				socket.data = { left: Number(second) };
			},
			data(socket, bytes) {
				socket.data.left -= bytes.length;
				if (socket.data.left <= 0) socket.end("all\n");
			},
		},
	});
} else if (kind === "ask") {
	const socket = await Bun.udpSocket({
		hostname: "0.0.0.0",
		socket: { data: (_, bytes) => void process.stdout.write(bytes) },
	});
	for (let left = 10; left > 0; left--) {
		socket.send("hello", Number(second), first);
		await Bun.sleep(500);
	}
	socket.close();
} else {
	kept.push(
		await Bun.udpSocket({
			hostname: first,
			port: 53,
			socket: { data: (socket, query, port, address) => void socket.send(answerTo(query), port, address) },
		}),
	);
}

/** The first question with its answer; another type than A has none. */
function answerTo(query: Buffer): Buffer {
	let end = 12;
	while ((query[end] ?? 0) !== 0) end += 1 + (query[end] ?? 0);
	const question = query.subarray(12, end + 5);
	const isA = query.readUInt16BE(end + 1) === 1;
	const header = Buffer.from([query[0] ?? 0, query[1] ?? 0, 0x81, 0x80, 0, 1, 0, isA ? 1 : 0, 0, 0, 0, 0]);
	const record = Buffer.from([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 1, 0, 4, ...second.split(".").map(Number)]);
	return Buffer.concat([header, question, ...(isA ? [record] : [])]);
}
