import * as packet from "dns-packet";

export interface DnsAnswer {
	/** NOERROR, NXDOMAIN, ... */
	readonly rcode: string;
	readonly addresses: readonly string[];
}

/** Asks one server once over UDP. Throws when it does not answer within 2 s. */
export async function lookup(
	server: { readonly address: string; readonly port: number },
	name: string,
	type: "A" | "AAAA" = "A",
): Promise<DnsAnswer> {
	const { promise, resolve, reject } = Promise.withResolvers<Buffer>();
	const socket = await Bun.udpSocket({
		connect: { hostname: server.address, port: server.port },
		socket: { data: (_socket, data) => resolve(Buffer.from(data)), error: (_socket, error) => reject(error) },
	});
	const timer = setTimeout(
		() => reject(new Error(`no answer from ${server.address}:${server.port} for ${name}`)),
		2000,
	);
	try {
		const id = Math.floor(Math.random() * 65536);
		socket.send(
			packet.encode({ type: "query", id, flags: packet.RECURSION_DESIRED, questions: [{ type, name, class: "IN" }] }),
		);
		const reply = packet.decode(await promise) as packet.DecodedPacket & { rcode: string };
		if (reply.id !== id) throw new Error(`answer with id ${reply.id} to question ${id}`);
		const addresses = (reply.answers ?? []).flatMap((a) => (a.type === type ? [a.data as string] : []));
		return { rcode: reply.rcode, addresses };
	} finally {
		clearTimeout(timer);
		socket.close();
	}
}
