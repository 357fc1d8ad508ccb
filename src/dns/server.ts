import { networkInterfaces } from "node:os";
import type { NameDirectory } from "../engine/names/contract.ts";
import type { Logger } from "../shared/log.ts";
import { guardHandler, type Handler, protocolHandler, reverseHandler, zoneHandler } from "./handlers.ts";
import { createResponder } from "./responder.ts";
import { openDnsSockets } from "./sockets.ts";

export interface DnsServerOptions {
	/** 127.0.0.153 */
	readonly address: string;
	/** 53; 0 takes any free ones */
	readonly port: number;
	/** fd.local */
	readonly domain: string;
	readonly directory: NameDirectory;
	/** For what is not ours, and only for clients on this host: its resolv.conf may name us first. */
	readonly forward: Handler;
	readonly log: Logger;
}

export interface DnsServer {
	readonly udpPort: number;
	readonly tcpPort: number;
	close(): void;
}

/** The host's resolver for the domain. Throws EngineError "conflict" naming the address when it is in use. */
export function createDnsServer(options: DnsServerOptions): DnsServer {
	const { directory, domain, forward, log } = options;
	const handlers = [
		protocolHandler,
		zoneHandler(domain, (label) => directory.fromHost(label)),
		reverseHandler(directory),
		guardHandler(isOwnAddress),
		forward,
	];
	const sockets = openDnsSockets(options.address, options.port, createResponder(handlers, log));
	log.info("dns listening", { address: options.address, udpPort: sockets.udpPort, tcpPort: sockets.tcpPort, domain });
	return sockets;
}

/** Loopback, or an address of one of this host's interfaces (a host-mode container, a client that asks from the uplink's address). */
export function isOwnAddress(address: string): boolean {
	if (address.startsWith("127.") || address === "::1") return true;
	return Object.values(networkInterfaces()).some((list) => list?.some((entry) => entry.address === address));
}
