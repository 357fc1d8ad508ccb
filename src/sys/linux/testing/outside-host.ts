import { parseIpv4 } from "../../../shared/ip.ts";
import { addAddress } from "../address.ts";
import { createVeth, findLink, setUp } from "../link.ts";
import { RouteSocket } from "../netlink.ts";
import { createNetns, openNetns, withNetns, writeSysctl } from "../netns.ts";
import { closePort } from "../port-socket.ts";
import { addDefaultRoute } from "../route.ts";

/** The tests' host is the namespace they are in; `outside` is another machine on its wire, 198.51.100.0/24. */
export const HOST = "198.51.100.1";
export const OUTSIDE = "198.51.100.2";

/** Makes the other machine, a namespace at this path, and the wire to it. */
export function buildOutside(outside: string): void {
	createNetns(outside, () => {});
	using socket = new RouteSocket();
	const netnsFd = openNetns(outside);
	const peer = { name: "eth0", netnsFd, mac: "02:00:00:00:00:02" };
	socket.request(setUp(1), createVeth({ name: "wire", mtu: 1500, peer }));
	closePort(netnsFd);
	socket.request(addAddress(findLink(socket, "wire")?.index ?? 0, parseIpv4(HOST) ?? 0, 24));
	// A careless host, and a neighbour without loopback that sends 127.0.0.1 over the wire: the attack of moby#45610.
	writeSysctl("net/ipv4/conf/wire/route_localnet", "1");
	withNetns(outside, () => {
		using inside = new RouteSocket();
		inside.request(setUp(2), addAddress(2, parseIpv4(OUTSIDE) ?? 0, 24), addDefaultRoute(2, parseIpv4(HOST) ?? 0));
		writeSysctl("net/ipv4/conf/eth0/route_localnet", "1");
	});
}

/** Answers each connection with `text;ADDRESS OF THE CLIENT` and closes. */
export function serveTcp(path: string, number: number, text: string): Disposable {
	const socket = { open: (s: Bun.Socket) => void s.end(`${text};${s.remoteAddress}`), data: () => {} };
	const server = withNetns(path, () => Bun.listen({ hostname: "0.0.0.0", port: number, socket }));
	return { [Symbol.dispose]: () => server.stop(true) };
}

/** What a server says, or "closed" when it cannot be reached. */
export function ask(path: string | undefined, hostname: string, number: number): Promise<string> {
	const { promise, resolve } = Promise.withResolvers<string>();
	let text = "";
	const socket = {
		data: (_: Bun.Socket, bytes: Buffer) => {
			text += bytes.toString();
		},
		close: () => resolve(text || "closed"),
		connectError: () => resolve("closed"),
	};
	const connect = () => void Bun.connect({ hostname, port: number, socket }).catch(() => resolve("closed"));
	if (path) withNetns(path, connect);
	else connect();
	setTimeout(() => resolve("closed"), 500);
	return promise;
}

/** The same of a server that answers datagrams. */
export async function askUdp(path: string | undefined, hostname: string, number: number): Promise<string> {
	const { promise, resolve } = Promise.withResolvers<string>();
	const any = hostname.includes(":") ? "::" : "0.0.0.0";
	const open = () => Bun.udpSocket({ hostname: any, socket: { data: (_, bytes) => resolve(bytes.toString()) } });
	const socket = await (path ? withNetns(path, open) : open());
	socket.send("hello", number, hostname);
	const timer = setTimeout(() => resolve("closed"), 500);
	const answer = await promise;
	clearTimeout(timer);
	socket.close();
	return answer;
}
