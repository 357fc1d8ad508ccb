import type { Budget, Change, Done, Fault, PortLine, Relayed } from "./protocol.ts";
import { relayTcp } from "./tcp.ts";
import { relayUdp } from "./udp.ts";

/** Each takes two descriptors, and at most two buffers. */
const MAX_CONNECTIONS = 8192;

interface Standing {
	port: PortLine;
	readonly relayed: Relayed;
}

/** The open ports of one instance. */
export class Relay {
	private readonly standing = new Map<string, Standing>();
	private readonly budget: Budget = { left: MAX_CONNECTIONS };
	private last: Promise<unknown> = Promise.resolve();

	/** One change after the other. */
	change(change: Change): Promise<Done> {
		const next = this.last.then(() => this.apply(change));
		this.last = next.catch(() => {});
		return next;
	}

	close(): void {
		for (const key of this.standing.keys()) this.drop(key);
	}

	private async apply({ whole, add, drop }: Change): Promise<Done> {
		const wanted = new Set(add.map(keyOf));
		const gone = whole ? [...this.standing.keys()] : drop.filter((port) => this.leadsTo(port)).map(keyOf);
		for (const key of gone) if (!wanted.has(key)) this.drop(key);
		const opened: PortLine[] = [];
		const faults: Fault[] = [];
		for (const port of add) {
			if (this.retarget(port)) continue;
			try {
				const { hostAddress, hostPort } = port;
				const open = port.protocol === "tcp" ? relayTcp : relayUdp;
				this.standing.set(keyOf(port), { port, relayed: await open(hostAddress, hostPort, port, this.budget) });
				opened.push(port);
			} catch (error) {
				faults.push({ port, code: codeOf(error) });
			}
		}
		if (faults.length > 0 && !whole) for (const port of opened) this.drop(keyOf(port));
		return { faults };
	}

	/** Not when the port is another container's by now. */
	private leadsTo(port: PortLine): boolean {
		const { port: own } = this.standing.get(keyOf(port)) ?? {};
		return own?.address === port.address && own.port === port.port;
	}

	private retarget(port: PortLine): boolean {
		const known = this.standing.get(keyOf(port));
		if (!known) return false;
		if (!this.leadsTo(port)) known.relayed.aim(port);
		known.port = port;
		return true;
	}

	private drop(key: string): void {
		this.standing.get(key)?.relayed.close();
		this.standing.delete(key);
	}
}

function keyOf({ protocol, hostAddress, hostPort }: PortLine): string {
	return `${protocol} ${hostAddress} ${hostPort}`;
}

function codeOf(error: unknown): string {
	return error instanceof Error && "code" in error ? String(error.code) : "EIO";
}
