import { connect, createServer, type Server, type Socket } from "node:net";
import { RELAY_SOURCE } from "../../../shared/relay-source.ts";
import type { Budget, Relayed, Target } from "./protocol.ts";

/** A container's own bridge answers at once, or something drops what is sent. */
const CONNECT_MS = 10_000;

/** Listens on the IPv6 address alone and joins each connection to one to the target; beyond the budget they are reset at once. Rejects with the kernel's error code. */
export async function relayTcp(host: string, port: number, first: Target, budget: Budget): Promise<Relayed> {
	let target = first;
	const open = new Set<Socket>();
	const server = createServer({ allowHalfOpen: true, pauseOnConnect: true }, (client) => {
		if (budget.left <= 0) return void client.resetAndDestroy();
		budget.left--;
		open.add(client);
		client.once("close", () => {
			budget.left++;
			open.delete(client);
		});
		join(client, target);
	});
	await listening(server, host, port);
	const drop = () => {
		for (const client of open) client.destroy();
	};
	return {
		aim(next) {
			target = next;
			drop();
		},
		close() {
			server.close();
			drop();
		},
	};
}

function listening(server: Server, host: string, port: number): Promise<void> {
	return new Promise((resolve, reject) => {
		server.once("error", reject);
		server.listen({ host, port, ipv6Only: true, backlog: 511 }, () => {
			server.off("error", reject);
			// An accept that fails (no descriptors left) is the client's loss alone.
			server.on("error", () => {});
			resolve();
		});
	});
}

/** From one of the machine's addresses to itself: to rules it is the host. */
function isOfHost({ remoteAddress, localAddress }: Socket): boolean {
	return remoteAddress === localAddress;
}

/** Each side's end is passed on when what came before it has been; trouble at one is the end of both. */
function join(client: Socket, { address, port }: Target): void {
	const inside = connect({
		host: address,
		port,
		allowHalfOpen: true,
		...(!isOfHost(client) && { localAddress: RELAY_SOURCE }),
	});
	inside.setTimeout(CONNECT_MS, () => inside.destroy());
	inside.once("connect", () => {
		inside.setTimeout(0);
		client.setNoDelay(true);
		inside.setNoDelay(true);
		client.pipe(inside);
		inside.pipe(client);
	});
	client.on("error", () => {});
	// Refused inside is refused outside.
	inside.on("error", () => client.resetAndDestroy());
	client.on("close", () => inside.destroy());
	inside.on("close", () => client.destroy());
}
