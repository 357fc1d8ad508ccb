import { readFileSync } from "node:fs";
import { type Cidr, cidrOf } from "../../shared/cidr.ts";
import { EngineError } from "../../shared/errors.ts";
import type { Logger } from "../../shared/log.ts";
import { macOfIpv4 } from "../../shared/mac.ts";
import { addAddress, listAddresses } from "../../sys/linux/address.ts";
import { SyscallError } from "../../sys/linux/libc.ts";
import {
	createBridge,
	createVeth,
	deleteLink,
	findLink,
	type Link,
	listLinks,
	setAlias,
	setHairpin,
	setUp,
} from "../../sys/linux/link.ts";
import { RouteSocket } from "../../sys/linux/netlink.ts";
import { openNetns, withNetnsFd, writeSysctl } from "../../sys/linux/netns.ts";
import { bindPort, closePort } from "../../sys/linux/port-socket.ts";
import { addDefaultRoute, listRoutes } from "../../sys/linux/route.ts";
import type { BridgeSpec, EndpointSpec, NetworkDriver } from "./driver.ts";

/** Number of eth0 in its namespace: the first after lo. */
const ETH0_INDEX = 2;

/** A Linux bridge with a veth for each sandbox. Its socket lives in the namespace it was constructed in, which is the host for it. */
export class BridgeDriver implements NetworkDriver {
	private readonly socket = new RouteSocket();
	private bridge: Link | undefined;

	constructor(private readonly log: Logger) {}

	open(spec: BridgeSpec): void {
		const link = findLink(this.socket, spec.name) ?? this.create(spec);
		if (link.kind !== "bridge" || link.alias !== spec.alias) {
			throw new EngineError(
				"conflict",
				`cannot use interface ${spec.name} as bridge: it exists and is not marked ${JSON.stringify(spec.alias)}`,
			);
		}
		this.socket.request(setUp(link.index), addAddress(link.index, spec.gateway, spec.prefixLength));
		// route_localnet lets connections that start at 127.0.0.1 on the host leave by our bridge to a published port; the firewall drops the abuse of it.
		this.ensureSysctl(`net/ipv4/conf/${spec.name}/route_localnet`, "1");
		this.ensureSysctl("net/ipv4/ip_forward", "1");
		this.bridge = link;
	}

	connect(path: string, endpoint: EndpointSpec): void {
		const bridge = this.opened();
		const netnsFd = openNetns(path);
		try {
			this.socket.request(
				createVeth({
					name: endpoint.link,
					mtu: bridge.mtu,
					master: bridge.index,
					peer: { name: "eth0", netnsFd, index: ETH0_INDEX, mac: endpoint.mac },
				}),
				setHairpin(endpoint.link),
			);
			withNetnsFd(netnsFd, path, () => {
				// As docker: a network without IPv6 has no link-local addresses either; interfaces that the container makes itself may.
				disableIpv6("eth0");
				using inside = new RouteSocket();
				inside.request(
					setUp(ETH0_INDEX),
					addAddress(ETH0_INDEX, endpoint.address, endpoint.prefixLength),
					addDefaultRoute(ETH0_INDEX, endpoint.gateway),
				);
			});
		} finally {
			closePort(netnsFd);
		}
	}

	sweep(keepLinks: readonly string[]): void {
		const bridge = this.opened();
		for (const link of listLinks(this.socket)) {
			if (link.master !== bridge.index || keepLinks.includes(link.name)) continue;
			try {
				this.socket.request(deleteLink(link.index));
			} catch (error) {
				// The kernel was faster: its namespace has just gone.
				if (!(error instanceof SyscallError && error.code === "ENODEV")) throw error;
			}
		}
	}

	remove(): void {
		if (!this.bridge) return;
		this.sweep([]);
		// ip link delete fd0
		this.socket.request(deleteLink(this.bridge.index));
		this.bridge = undefined;
	}

	usedNetworks(except: string): Cidr[] {
		const own = findLink(this.socket, except)?.index;
		return [
			...listRoutes(this.socket).map((route) => ({ ...route, address: route.base })),
			...listAddresses(this.socket),
		]
			.filter((entry) => own === undefined || entry.index !== own)
			.map(({ address, prefixLength }) => cidrOf(address, prefixLength));
	}

	holdPort(protocol: "tcp" | "udp", address: number, port: number): { release(): void } {
		try {
			const fd = bindPort(protocol, address, port);
			let held = true;
			return {
				release: () => {
					if (held) closePort(fd);
					held = false;
				},
			};
		} catch (error) {
			if (error instanceof SyscallError)
				throw new EngineError("conflict", BIND_REASONS[error.code] ?? error.message, { cause: error });
			throw error;
		}
	}

	portRange(): { first: number; last: number } {
		const [first = 32768, last = 60999] = readFileSync("/proc/sys/net/ipv4/ip_local_port_range", "utf8")
			.trim()
			.split(/\s+/)
			.map(Number);
		return { first, last };
	}

	private create(spec: BridgeSpec): Link {
		this.socket.request(createBridge(spec.name, macOfIpv4(spec.gateway)));
		const made = findLink(this.socket, spec.name);
		if (made) this.socket.request(setAlias(made.index, spec.alias));
		const link = findLink(this.socket, spec.name);
		if (!link) throw new EngineError("internal", `cannot find bridge ${spec.name} after its creation`);
		this.log.info("bridge created", { bridge: spec.name });
		return link;
	}

	private opened(): Link {
		if (!this.bridge) throw new EngineError("internal", "cannot use the bridge network: not opened");
		return this.bridge;
	}

	/** Writes only where the value differs, and says so: it is the host's setting. */
	private ensureSysctl(path: string, value: string): void {
		if (readFileSync(`/proc/sys/${path}`, "utf8").trim() === value) return;
		writeSysctl(path, value);
		this.log.info("host sysctl set", { sysctl: path.replaceAll("/", "."), value });
	}
}

/** In the calling thread's namespace. */
function disableIpv6(link: string): void {
	try {
		writeSysctl(`net/ipv6/conf/${link}/disable_ipv6`, "1");
	} catch (error) {
		// A kernel started without IPv6 has no such file.
		if (!(error instanceof Error && "code" in error && error.code === "ENOENT")) throw error;
	}
}

const BIND_REASONS: Record<string, string> = {
	EADDRINUSE: "address already in use",
	EADDRNOTAVAIL: "cannot assign requested address",
	EACCES: "permission denied",
};
