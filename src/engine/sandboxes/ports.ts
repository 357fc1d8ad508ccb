import type { NetworkDriver } from "../../drivers/network/driver.ts";
import { EngineError, messageOf } from "../../shared/errors.ts";
import { formatIp, type IpAddress, parseIp } from "../../shared/ip.ts";
import type { PublishedPort } from "../containers/record.ts";
import type { PortRequest } from "./contract.ts";

/** A host port that is ours: no other sandbox and no other program can take it. */
export interface HeldPort extends PublishedPort {
	release(): void;
	/** It stays taken, but another of our processes has it from here on. */
	handOver(): void;
}

/** A request with the host addresses that it means: one of each family at most, with the same port on all. */
export interface BoundRequest extends PortRequest {
	readonly hostIps: readonly string[];
	/** Where the port leads, for the error texts, which are docker's. */
	readonly containerIp: string;
}

type PortHost = Pick<NetworkDriver, "holdPort" | "portRange">;

/** Who has which host port. Each port is also bound on the host, so that other programs see it taken and we see theirs. */
export class PortAllocator {
	private readonly held = new Set<HeldPort>();
	private next = 0;

	constructor(private readonly host: PortHost) {}

	/** Ports for all requests or none. Throws "internal" for a port that is taken, "invalid" for an address that is none. */
	allocate(requests: readonly BoundRequest[]): HeldPort[] {
		const taken: HeldPort[] = [];
		try {
			for (const request of requests) taken.push(...this.allocateOne(request));
			return taken;
		} catch (error) {
			for (const port of taken) port.release();
			throw error;
		}
	}

	/** Takes again a port published before a restart. undefined when some other program has it by now. `elsewhere`: another of our processes has it. */
	adopt(port: PublishedPort, elsewhere: boolean): HeldPort | undefined {
		if (elsewhere) return this.keep(port, { release: () => {} });
		try {
			return this.hold(port);
		} catch {
			return undefined;
		}
	}

	private allocateOne(request: BoundRequest): HeldPort[] {
		const hostIps = request.hostIps.map(hostAddressOf);
		if (request.hostPort === 0) return this.anyPort(request, hostIps);
		const last = request.hostPortEnd ?? request.hostPort;
		let failure: unknown;
		for (let hostPort = request.hostPort; hostPort <= last; hostPort++) {
			try {
				return this.holdAll(request, hostIps, hostPort);
			} catch (error) {
				failure ??= error;
			}
		}
		const isTaken = failure instanceof EngineError && failure.message.endsWith("port is already allocated");
		throw last > request.hostPort && isTaken ? new EngineError("internal", "all ports are allocated") : failure;
	}

	/** Goes round the kernel's range for outgoing ports, as docker does. */
	private anyPort(request: BoundRequest, hostIps: readonly string[]): HeldPort[] {
		const { first, last } = this.host.portRange();
		for (let tried = first; tried <= last; tried++) {
			if (this.next < first || this.next > last) this.next = first;
			try {
				return this.holdAll(request, hostIps, this.next++);
			} catch {
				// The next one, then.
			}
		}
		throw new EngineError("internal", "all ports are allocated");
	}

	/** The port on all of the addresses, or on none. */
	private holdAll(request: BoundRequest, hostIps: readonly string[], hostPort: number): HeldPort[] {
		const { protocol, containerPort, containerIp } = request;
		const taken: HeldPort[] = [];
		try {
			for (const hostIp of hostIps) {
				taken.push(this.holdOrExplain({ protocol, containerPort, hostIp, hostPort }, containerIp));
			}
			return taken;
		} catch (error) {
			for (const port of taken) port.release();
			throw error;
		}
	}

	private holdOrExplain(port: PublishedPort, containerIp: string): HeldPort {
		if (this.conflicts(port)) {
			throw new EngineError(
				"internal",
				`Bind for ${bracketed(port.hostIp)}:${port.hostPort} failed: port is already allocated`,
			);
		}
		try {
			return this.hold(port);
		} catch (error) {
			const target = `${bracketed(port.hostIp)}:${port.hostPort}:${bracketed(containerIp)}:${port.containerPort}/${port.protocol}`;
			throw new EngineError("internal", `failed to bind host port for ${target}: ${messageOf(error)}`, {
				cause: error,
			});
		}
	}

	private hold(port: PublishedPort): HeldPort {
		return this.keep(port, this.host.holdPort(port.protocol, parseIp(port.hostIp) ?? 0, port.hostPort));
	}

	private keep(port: PublishedPort, socket: { release(): void }): HeldPort {
		const held: HeldPort = {
			...port,
			release: () => {
				this.held.delete(held);
				socket.release();
			},
			handOver: () => socket.release(),
		};
		this.held.add(held);
		return held;
	}

	private conflicts(port: PublishedPort): boolean {
		for (const other of this.held) {
			if (other.protocol !== port.protocol || other.hostPort !== port.hostPort) continue;
			if (other.hostIp.includes(":") !== port.hostIp.includes(":")) continue;
			if (other.hostIp === port.hostIp || [other.hostIp, port.hostIp].includes("::")) return true;
			if (other.hostIp === "0.0.0.0" || port.hostIp === "0.0.0.0") return true;
		}
		return false;
	}
}

/** In its one spelling. */
function hostAddressOf(hostIp: string): string {
	const address: IpAddress | undefined = parseIp(hostIp);
	if (address === undefined) throw new EngineError("invalid", `invalid IP address: ${hostIp}`);
	return formatIp(address);
}

function bracketed(address: string): string {
	return address.includes(":") ? `[${address}]` : address;
}
