import type { NetworkDriver } from "../../drivers/network/driver.ts";
import { EngineError, messageOf } from "../../shared/errors.ts";
import { formatIpv4, parseIpv4 } from "../../shared/ip.ts";
import type { PublishedPort } from "../containers/record.ts";
import type { PortRequest } from "./contract.ts";

/** A host port that is ours: no other sandbox and no other program can take it. */
export interface HeldPort extends PublishedPort {
	release(): void;
}

type PortHost = Pick<NetworkDriver, "holdPort" | "portRange">;

/** Who has which host port. Each port is also bound on the host, so that other programs see it taken and we see theirs. */
export class PortAllocator {
	private readonly held = new Set<HeldPort>();
	private next = 0;

	constructor(private readonly host: PortHost) {}

	/**
	 * Ports for all requests or none. `containerIp` is for the error texts, which are docker's. Throws "internal" for a port that is taken, "invalid" or
	 * "unsupported" for an address that cannot be published on.
	 */
	allocate(requests: readonly PortRequest[], containerIp: string): HeldPort[] {
		const taken: HeldPort[] = [];
		try {
			for (const request of requests) taken.push(this.allocateOne(request, containerIp));
			return taken;
		} catch (error) {
			for (const port of taken) port.release();
			throw error;
		}
	}

	/** Takes again a port published before a restart. undefined when some other program has it by now. */
	adopt(port: PublishedPort): HeldPort | undefined {
		try {
			return this.hold(port);
		} catch {
			return undefined;
		}
	}

	private allocateOne(request: PortRequest, containerIp: string): HeldPort {
		const { protocol, containerPort } = request;
		const hostIp = hostAddressOf(request.hostIp);
		if (request.hostPort === 0) return this.anyPort(protocol, containerPort, hostIp);
		const last = request.hostPortEnd ?? request.hostPort;
		let failure: unknown;
		for (let hostPort = request.hostPort; hostPort <= last; hostPort++) {
			try {
				return this.holdOrExplain({ protocol, containerPort, hostIp, hostPort }, containerIp);
			} catch (error) {
				failure ??= error;
			}
		}
		throw failure;
	}

	/** Goes round the kernel's range for outgoing ports, as docker does. */
	private anyPort(protocol: PublishedPort["protocol"], containerPort: number, hostIp: string): HeldPort {
		const { first, last } = this.host.portRange();
		for (let tried = first; tried <= last; tried++) {
			if (this.next < first || this.next > last) this.next = first;
			const port = { protocol, containerPort, hostIp, hostPort: this.next++ };
			if (this.conflicts(port)) continue;
			const held = this.adopt(port);
			if (held) return held;
		}
		throw new EngineError("internal", "all ports are allocated");
	}

	private holdOrExplain(port: PublishedPort, containerIp: string): HeldPort {
		if (this.conflicts(port)) {
			throw new EngineError("internal", `Bind for ${port.hostIp}:${port.hostPort} failed: port is already allocated`);
		}
		try {
			return this.hold(port);
		} catch (error) {
			const target = `${port.hostIp}:${port.hostPort}:${containerIp}:${port.containerPort}/${port.protocol}`;
			throw new EngineError("internal", `failed to bind host port for ${target}: ${messageOf(error)}`, {
				cause: error,
			});
		}
	}

	private hold(port: PublishedPort): HeldPort {
		const socket = this.host.holdPort(port.protocol, parseIpv4(port.hostIp) ?? 0, port.hostPort);
		const held: HeldPort = {
			...port,
			release: () => {
				this.held.delete(held);
				socket.release();
			},
		};
		this.held.add(held);
		return held;
	}

	private conflicts(port: PublishedPort): boolean {
		for (const other of this.held) {
			if (other.protocol !== port.protocol || other.hostPort !== port.hostPort) continue;
			if (other.hostIp === port.hostIp || other.hostIp === "0.0.0.0" || port.hostIp === "0.0.0.0") return true;
		}
		return false;
	}
}

/** "" is every address. IPv6 is refused: sandboxes have IPv4 only, and the kernel does not translate between the families. */
function hostAddressOf(hostIp: string): string {
	if (hostIp === "") return "0.0.0.0";
	const address = parseIpv4(hostIp);
	if (address !== undefined) return formatIpv4(address);
	if (hostIp.includes(":"))
		throw new EngineError("unsupported", `cannot publish on host address ${hostIp}: only IPv4 addresses are supported`);
	throw new EngineError("invalid", `invalid IP address: ${hostIp}`);
}
