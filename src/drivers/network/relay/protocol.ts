/** What daemon and relay say to each other over a unix socket: one JSON text a line, a `Change` down, a `Done` up, in order. */
export interface Change {
	/** What stands and is not named here goes. */
	readonly whole: boolean;
	readonly add: readonly PortLine[];
	readonly drop: readonly PortLine[];
}

/** Those that could not be opened; with `whole` the others are, else none. */
export interface Done {
	readonly faults: readonly Fault[];
}

export interface Fault {
	readonly port: PortLine;
	/** EADDRINUSE */
	readonly code: string;
}

export interface Target {
	readonly address: string;
	readonly port: number;
}

/** A port of the host and where it leads. */
export interface PortLine extends Target {
	readonly protocol: "tcp" | "udp";
	/** :: */
	readonly hostAddress: string;
	readonly hostPort: number;
}

/** How many connections and UDP clients there may be yet, over all ports: the process has other work to do with its descriptors. */
export interface Budget {
	left: number;
}

/** A port that is open. */
export interface Relayed {
	/** Leads to another target from now on; connections to the one before end. */
	aim(target: Target): void;
	close(): void;
}

export function relaySocket(runRoot: string): string {
	return `${runRoot}/relay.sock`;
}
