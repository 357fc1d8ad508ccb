import { decode, encode } from "dns-packet";
import { withNetns } from "../sys/linux/netns.ts";

const STRAY = "198.51.100.5";

/** A name's addresses of either family, their time to live, and an alias before them. */
export interface Zone {
	readonly [name: string]: {
		readonly address: string;
		readonly address6?: string;
		readonly ttl: number;
		readonly alias?: string;
	};
}

/** A name server, which tells of one name that nobody asked for as well. */
export async function serveNames(path: string, zone: Zone): Promise<Disposable> {
	const socket = await withNetns(path, () =>
		Bun.udpSocket({
			hostname: "0.0.0.0",
			port: 53,
			socket: {
				data(own, bytes: Buffer, port, client) {
					const { id = 0, questions = [] } = decode(bytes);
					const asked = questions[0]?.name ?? "";
					const type = questions[0]?.type === "AAAA" ? "AAAA" : "A";
					const { address, address6, ttl, alias } = zone[asked.toLowerCase()] ?? {};
					const data = type === "A" ? address : address6;
					// A record of another name, that the answer has no business to tell of.
					const stray = { type: "A" as const, name: "stray.example.net", ttl, data: STRAY };
					const aliases = alias ? [{ type: "CNAME" as const, name: asked, ttl, data: alias }] : [];
					const found = data === undefined ? [] : [{ type, name: alias ?? asked, ttl, data } as const];
					const answers = alias ? [stray, ...found, ...aliases] : found;
					own.send(encode({ type: "response", id, questions, answers }), port, client);
				},
			},
		}),
	);
	return { [Symbol.dispose]: () => socket.close() };
}

/** Addresses that the sandbox is told, "NXDOMAIN", or nothing when nobody answers. */
export async function resolve(
	path: string,
	name: string,
	server = "127.0.0.11",
	type: "A" | "AAAA" = "A",
): Promise<string[] | string | undefined> {
	const { promise, resolve: done } = Promise.withResolvers<Buffer | undefined>();
	const opening = withNetns(path, () =>
		Bun.udpSocket({ hostname: "0.0.0.0", socket: { data: (_, bytes: Buffer) => done(Buffer.from(bytes)) } }),
	);
	const socket = await opening;
	socket.send(encode({ type: "query", id: 7, questions: [{ name, type }] }), 53, server);
	const timer = setTimeout(done, 500, undefined);
	const reply = await promise;
	clearTimeout(timer);
	socket.close();
	if (!reply) return undefined;
	const packet = decode(reply);
	if (((reply[3] ?? 0) & 15) === 3) return "NXDOMAIN";
	return (packet.answers ?? []).flatMap((one) =>
		one.type === type && one.name !== "stray.example.net" ? [one.data] : [],
	);
}

/** Says what it hears; `push`: to everyone who is there. */
export function serveEcho(path: string, number: number): Disposable & { push(text: string): void } {
	const clients = new Set<Bun.Socket>();
	const socket = {
		open: (own: Bun.Socket) => void clients.add(own),
		data: (own: Bun.Socket, bytes: Buffer) => void own.write(bytes),
		close: (own: Bun.Socket) => void clients.delete(own),
		error: () => {},
	};
	const server = withNetns(path, () => Bun.listen({ hostname: "::", port: number, socket }));
	return {
		push(text) {
			for (const client of clients) client.write(text);
		},
		[Symbol.dispose]: () => server.stop(true),
	};
}

/** A connection that stays open. */
export async function talk(path: string | undefined, hostname: string, number: number) {
	let heard = Promise.withResolvers<string>();
	let closed = false;
	const socket = {
		data: (_: Bun.Socket, bytes: Buffer) => heard.resolve(bytes.toString()),
		close: () => {
			closed = true;
			heard.resolve("closed");
		},
		error: () => {},
	};
	const connect = () => Bun.connect({ hostname, port: number, socket });
	const connection = await (path ? withNetns(path, connect) : connect());
	const hear = (act: () => void): Promise<string> => {
		if (closed) return Promise.resolve("closed");
		heard = Promise.withResolvers();
		act();
		setTimeout(heard.resolve, 1000, "silence");
		return heard.promise;
	};
	return {
		hear,
		say: (text: string) => hear(() => void connection.write(text)),
		close: () => connection.terminate(),
	};
}

/** A flow of datagrams to a server that sends them back. */
export async function talkUdp(path: string, serverPath: string, hostname: string, number: number) {
	const server = await serveUdp(serverPath, number);
	let heard = Promise.withResolvers<string>();
	const options = { socket: { data: (_: unknown, bytes: Buffer) => heard.resolve(bytes.toString()) } };
	const socket = await withNetns(path, () => Bun.udpSocket({ hostname: "::", ...options }));
	return {
		say(text: string): Promise<string> {
			heard = Promise.withResolvers();
			socket.send(text, number, hostname);
			setTimeout(heard.resolve, 500, "silence");
			return heard.promise;
		},
		async [Symbol.asyncDispose]() {
			socket.close();
			server[Symbol.dispose]();
		},
	};
}

export async function serveUdp(path: string, number: number): Promise<Disposable & { heard(): string[] }> {
	const from: string[] = [];
	const handler = {
		data(
			own: { send(data: Buffer, port: number, address: string): unknown },
			bytes: Buffer,
			port: number,
			address: string,
		) {
			from.push(address.replace(/^::ffff:/, ""));
			own.send(Buffer.from(bytes), port, address);
		},
	};
	const socket = await withNetns(path, () => Bun.udpSocket({ hostname: "::", port: number, socket: handler }));
	return { heard: () => from, [Symbol.dispose]: () => socket.close() };
}

export async function sendFrom(path: string, source: string, target: string, number: number): Promise<void> {
	const socket = await withNetns(path, () => Bun.udpSocket({ hostname: source, socket: {} }));
	socket.send("forged", number, target);
	await Bun.sleep(50);
	socket.close();
}

/** Answers each connection of either family with `text;ADDRESS OF THE CLIENT` and closes. */
export function serveBoth(path: string, number: number, text: string): Disposable {
	const socket = { open: (s: Bun.Socket) => void s.end(`${text};${s.remoteAddress}`), data: () => {} };
	const servers = ["0.0.0.0", "::"].map((hostname) =>
		withNetns(path, () => Bun.listen({ hostname, port: number, socket, ...(hostname === "::" && { ipv6Only: true }) })),
	);
	return {
		[Symbol.dispose]() {
			for (const server of servers) server.stop(true);
		},
	};
}

/** Whether an echo comes back. */
export function pings(path: string, address: string): boolean {
	const family = address.includes(":") ? "-6" : "-4";
	return Bun.spawnSync(["nsenter", `--net=${path}`, "ping", family, "-c", "1", "-W", "1", address]).exitCode === 0;
}
