import { randomInt } from "node:crypto";
import { readFileSync } from "node:fs";
import { bridgeGroupOf } from "../../shared/bridge-group.ts";
import { type Cidr, cidrOf } from "../../shared/cidr.ts";
import { EngineError, messageOf } from "../../shared/errors.ts";
import { formatIp, type IpAddress } from "../../shared/ip.ts";
import type { Logger } from "../../shared/log.ts";
import { macOfIpv4 } from "../../shared/mac.ts";
import { deleteAddress, listAddresses, listAddresses6 } from "../../sys/linux/address.ts";
import { SyscallError } from "../../sys/linux/libc.ts";
import {
	createBridge,
	createVeth,
	deleteLink,
	findLink,
	knowsLinkKind,
	type Link,
	listLinks,
	setAlias,
	setDownAs,
	setHairpin,
	setIsolated,
	setMaster,
	setNoLinklocalLearn,
	setSegmentation,
	setUp,
} from "../../sys/linux/link.ts";
import { LinkWatch } from "../../sys/linux/link-watch.ts";
import { RouteSocket } from "../../sys/linux/netlink.ts";
import { openNetns, withNetns, withNetnsFd, writeSysctl } from "../../sys/linux/netns.ts";
import { bindPort, closePort } from "../../sys/linux/port-socket.ts";
import { addDefaultRoute, deleteDefaultRoute, listRoutes } from "../../sys/linux/route.ts";
import type { BridgeSpec, EndpointAddress, EndpointSpec, NetworkDriver, ParentSpec } from "./driver.ts";
import { addAny, configure, retriedWhileTaken, tolerate } from "./inside.ts";
import { hasIpv6, prepareBridge6, routeIpv6 } from "./ipv6.ts";
import { NeighbourTables } from "./neighbours.ts";
import { Removals } from "./removals.ts";
import { createEndpoint, nameEndpoint, openParent, removeEndpoint } from "./wire.ts";

interface Bridge extends Link {
	/** The host's own addresses on it. */
	readonly gateways?: readonly EndpointAddress[];
	/** Of its ports: how large packets may be that are handled as one, bytes. */
	readonly segmentation?: number;
}

/** Bridges with a veth for each endpoint. Its socket lives in the namespace it was constructed in, which is the host for it. */
export class BridgeDriver implements NetworkDriver {
	private readonly socket = new RouteSocket();
	private readonly bridges = new Map<string, Bridge>();
	/** Interfaces of the host's that endpoints hang on. */
	private readonly parents = new Map<string, Link>();
	/** Interfaces that should be gone soon. */
	private readonly leaving = new Set<string>();
	/** Interfaces that the kernel takes apart, or is about to. */
	private readonly removals: Removals;

	private readonly neighbours: NeighbourTables;

	constructor(private readonly log: Logger) {
		this.neighbours = new NeighbourTables(log);
		this.removals = new Removals(this.socket, log);
	}

	open(spec: BridgeSpec): { readonly mac: string } {
		this.removals.hurry(spec.name);
		const there = this.marked(spec);
		const link = there ?? this.create(spec);
		if (link.kind !== "bridge" || link.alias !== spec.alias) {
			throw new EngineError(
				"conflict",
				`cannot use interface ${spec.name} as bridge: it exists and is not marked ${JSON.stringify(spec.alias)}`,
			);
		}
		if (spec.ipv6) prepareBridge6(spec.name);
		this.socket.request(
			setUp(link.index),
			...gatewaysOf(spec).map((one) => addAny(link.index, one)),
			...(there ? [setNoLinklocalLearn(link.index)] : []),
		);
		// route_localnet lets connections that start at 127.0.0.1 on the host leave by our bridge to a published port; the firewall drops the abuse of it.
		writeSysctl(`net/ipv4/conf/${spec.name}/route_localnet`, "1");
		this.ensureSysctl("net/ipv4/ip_forward", "1");
		if (spec.ipv6?.forward) routeIpv6(spec.name, this.log);
		const segmentation = spec.bigTcp && this.hasBigTcp() ? { segmentation: BIG_TCP } : {};
		this.bridges.set(spec.name, { ...link, mtu: spec.mtu ?? link.mtu, gateways: gatewaysOf(spec), ...segmentation });
		return { mac: link.mac };
	}

	openParent(spec: ParentSpec): void {
		const { link, ours } = openParent(this.socket, spec);
		(ours ? this.bridges : this.parents).set(spec.name, link);
	}

	connect(path: string, endpoint: EndpointSpec): void {
		this.neighbours.expect(endpoint);
		if (endpoint.wire) {
			this.connectToWire(path, endpoint);
			return;
		}
		const bridge = this.opened(endpoint.bridge);
		const { link, name, mac } = endpoint;
		const group = bridgeGroupOf(endpoint.bridge);
		const netnsFd = openNetns(path);
		try {
			this.socket.request(
				createVeth({ name: link, ...portOf(bridge), group, peer: { name, netnsFd, mac } }),
				setHairpin(link),
				...(endpoint.isolated ? [setIsolated(link)] : []),
			);
			this.enlarge(bridge);
			withNetnsFd(netnsFd, path, () => configure(endpoint));
		} catch (error) {
			this.deleteQuietly(link);
			throw error;
		} finally {
			closePort(netnsFd);
		}
	}

	/** What the host sends: a bridge takes the size when it has a port that does, and on older kernels not at all. */
	private enlarge({ index, segmentation }: Bridge): void {
		if (segmentation === undefined) return;
		tolerate("EINVAL", () => this.socket.request(setSegmentation(index, segmentation)));
	}

	private connectToWire(path: string, endpoint: EndpointSpec): void {
		const parent = this.parents.get(endpoint.bridge) ?? this.opened(endpoint.bridge);
		const netnsFd = openNetns(path);
		try {
			const made = createEndpoint(this.socket, parent, netnsFd, endpoint);
			withNetnsFd(netnsFd, path, () => {
				try {
					using inside = new RouteSocket();
					nameEndpoint(inside, made, endpoint.name);
					retriedWhileTaken(() => configure({ ...endpoint, first: false }));
				} catch (error) {
					using inside = new RouteSocket();
					for (const name of [made, endpoint.name]) removeEndpoint(inside, name);
					throw error;
				}
			});
		} finally {
			closePort(netnsFd);
		}
	}

	rejoin(bridge: string, name: string, isolated: boolean): void {
		const { index } = this.opened(bridge);
		const link = findLink(this.socket, name);
		const group = bridgeGroupOf(bridge);
		if (!link || (link.master === index && link.group === group)) return;
		this.socket.request(
			setMaster(link.index, index, group),
			setHairpin(name),
			...(isolated ? [setIsolated(name)] : []),
		);
		this.log.warn("interface joined to its bridge again", { bridge, link: name });
	}

	watch(onLoss: (bridge: string) => void): Disposable {
		// What is told may be of our own doing, or over by now: what counts is what is.
		return new LinkWatch((loss) => {
			const told = [...this.bridges].filter(([, { index }]) => loss === undefined || loss.index === index);
			for (const name of this.broken(told)) onLoss(name);
		});
	}

	/** Those that are not there any more, not up, or without their addresses. */
	private broken(bridges: readonly (readonly [string, Bridge])[]): string[] {
		if (bridges.length === 0) return [];
		const links = new Map(listLinks(this.socket).map((link) => [link.name, link]));
		const there = [...listAddresses(this.socket), ...listAddresses6(this.socket)];
		const held = new Set(there.map(({ index, address }) => `${index} ${formatIp(address)}`));
		const stands = (name: string, { index, gateways = [] }: Bridge) => {
			const link = links.get(name);
			const has = ({ address }: EndpointAddress) => held.has(`${index} ${formatIp(address)}`);
			return link?.index === index && link.up && gateways.every(has);
		};
		return bridges.flatMap(([name, bridge]) => (stands(name, bridge) ? [] : [name]));
	}

	disconnect(path: string, { name, link }: Pick<EndpointSpec, "name" | "link">): void {
		withNetns(path, () => {
			using inside = new RouteSocket();
			if (link === "") removeEndpoint(inside, name);
			const index = link === "" ? undefined : findLink(inside, name)?.index;
			if (index !== undefined) inside.request(...setDownAs(index, `gone${index}`));
		});
		if (link !== "") void this.removals.add(link);
	}

	settled(): Promise<void> {
		return this.removals.settled();
	}

	seeOff(links: readonly string[]): void {
		if (this.leaving.size === 0) setTimeout(() => this.deleteStayers(), SEE_OFF_MS).unref();
		for (const link of links) if (link !== "") this.leaving.add(link);
	}

	private deleteStayers(): void {
		const names = [...this.leaving];
		this.leaving.clear();
		try {
			const there = new Set(listLinks(this.socket).map(({ name }) => name));
			for (const link of names.filter((name) => there.has(name))) {
				this.log.debug("interface outlives its namespace, deleted", { link });
				void this.removals.add(link);
			}
		} catch (error) {
			this.log.warn("interfaces of removed sandboxes not looked for", { error: messageOf(error) });
		}
	}

	setDefaultRoutes(path: string, routes: readonly { name: string; gateway: IpAddress }[]): void {
		withNetns(path, () => {
			using inside = new RouteSocket();
			// The old ones may lead over other interfaces, which `replace` would leave standing beside the new.
			for (const family of [4, 6] as const) {
				// IPv6 says ENOENT where no route of any kind is left.
				tolerate("ESRCH", () => tolerate("ENOENT", () => inside.request(deleteDefaultRoute(family))));
			}
			for (const { name, gateway } of routes) {
				const link = findLink(inside, name);
				if (link) inside.request(addDefaultRoute(link.index, gateway));
			}
		});
	}

	interfaces(path: string): string[] {
		return withNetns(path, () => {
			using inside = new RouteSocket();
			return listLinks(inside).map(({ name }) => name);
		});
	}

	sweep(mark: string, keepBridges: readonly string[], keepLinks: readonly string[]): void {
		const links = listLinks(this.socket);
		const kinds = ["bridge", "vlan", "dummy"];
		const bridges = links.filter(({ kind, alias }) => kinds.includes(kind) && alias === mark);
		const ours = new Set(bridges.map(({ index }) => index));
		const [kept, keptLinks] = [new Set(keepBridges), new Set(keepLinks)];
		const ends = links.filter(({ master, name }) => master !== undefined && ours.has(master) && !keptLinks.has(name));
		// The kernel may be faster: a namespace that has just gone takes its interfaces along.
		for (const { index } of ends) tolerate("ENODEV", () => this.socket.request(deleteLink(index)));
		const stale = bridges.filter(({ name }) => !kept.has(name));
		const addresses = stale.length > 0 ? [...listAddresses(this.socket), ...listAddresses6(this.socket)] : [];
		for (const { index, name } of stale) {
			this.deprive(
				index,
				addresses.filter((one) => one.index === index),
			);
			void this.removals.add(name);
		}
	}

	/** Another bridge may have its subnet at once. To set it down would do as well, and have the caller wait for all CPUs. */
	private deprive(index: number, addresses: readonly EndpointAddress[]): void {
		for (const { address, prefixLength } of addresses) {
			const gone = deleteAddress(index, address, prefixLength);
			tolerate("ENODEV", () => tolerate("EADDRNOTAVAIL", () => this.socket.request(gone)));
		}
	}

	remove(name: string): Promise<void> {
		const link = this.bridges.get(name);
		this.bridges.delete(name);
		if (!link) return Promise.resolve();
		this.deprive(link.index, link.gateways ?? []);
		return this.removals.add(name);
	}

	usedNetworks(except: readonly string[]): Cidr[] {
		const names = new Set([...except, ...this.removals.names()]);
		const links = names.size > 0 ? listLinks(this.socket) : [];
		const own = new Set(links.filter(({ name }) => names.has(name)).map(({ index }) => index));
		return [
			...listRoutes(this.socket).map((route) => ({ ...route, address: route.base })),
			...listAddresses(this.socket),
		]
			.filter((entry) => entry.index === undefined || !own.has(entry.index))
			.map(({ address, prefixLength }) => cidrOf(address, prefixLength));
	}

	holdPort(protocol: "tcp" | "udp" | "sctp", address: IpAddress, port: number): { release(): void } {
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

	hasIpv6 = hasIpv6;

	knows(kind: "ipvlan" | "macvlan"): boolean {
		return knowsLinkKind(this.socket, kind);
	}

	hasBigTcp(): boolean {
		return findLink(this.socket, "lo")?.segmentation4 !== undefined;
	}

	hasLink(name: string): boolean {
		return findLink(this.socket, name) !== undefined;
	}

	portRange(): { first: number; last: number } {
		const [first = 32768, last = 60999] = readFileSync("/proc/sys/net/ipv4/ip_local_port_range", "utf8")
			.trim()
			.split(/\s+/)
			.map(Number);
		return { first, last };
	}

	/** The bridge if there is one; marked now where an earlier daemon was killed between making and marking it: as we make them, with nothing on it yet. */
	private marked({ name, alias }: BridgeSpec): Link | undefined {
		const link = findLink(this.socket, name);
		if (link?.kind !== "bridge" || link.alias !== "" || !link.mac.startsWith("02:42:")) return link;
		const used = listLinks(this.socket).some(({ master }) => master === link.index);
		if (used || listAddresses(this.socket).some(({ index }) => index === link.index)) return link;
		this.socket.request(setAlias(link.index, alias));
		return { ...link, alias };
	}

	private create(spec: BridgeSpec): Link {
		this.socket.request(createBridge(spec.name, macOfIpv4(spec.gateway ?? randomInt(2 ** 32)), spec.mtu));
		const made = findLink(this.socket, spec.name);
		if (made) this.socket.request(setAlias(made.index, spec.alias));
		const link = findLink(this.socket, spec.name);
		if (!link) throw new EngineError("internal", `cannot find bridge ${spec.name} after its creation`);
		this.log.info("bridge created", { bridge: spec.name });
		return link;
	}

	private deleteQuietly(name: string): void {
		try {
			const link = findLink(this.socket, name);
			if (link) tolerate("ENODEV", () => this.socket.request(deleteLink(link.index)));
		} catch (error) {
			this.log.warn("interface not deleted", { link: name, error: messageOf(error) });
		}
	}

	private opened(name: string): Bridge {
		const link = this.bridges.get(name);
		if (!link) throw new EngineError("internal", `cannot use bridge ${name}: not opened`);
		return link;
	}

	/** Writes only where the value differs, and says so: it is the host's setting. */
	private ensureSysctl(path: string, value: string): void {
		if (readFileSync(`/proc/sys/${path}`, "utf8").trim() === value) return;
		writeSysctl(path, value);
		this.log.info("host sysctl set", { sysctl: path.replaceAll("/", "."), value });
	}
}

/** What others have found to be good: with more there is nothing more to gain. Bytes. */
const BIG_TCP = 196_608;

/** The kernel takes a namespace apart in 50 ms, several together in less each. */
const SEE_OFF_MS = 1000;

/** What its veth has of the bridge it joins. */
function portOf({ mtu, index: master, segmentation }: Bridge) {
	return { mtu, master, ...(segmentation !== undefined && { segmentation }) };
}

/** The host's own addresses on the bridge. */
function gatewaysOf({ gateway, prefixLength = 32, ipv6 }: BridgeSpec): EndpointAddress[] {
	return [
		...(gateway === undefined ? [] : [{ address: gateway, prefixLength }]),
		...(ipv6?.gateway === undefined ? [] : [{ address: ipv6.gateway, prefixLength: ipv6.prefixLength }]),
	];
}

const BIND_REASONS: Record<string, string> = {
	EADDRINUSE: "address already in use",
	EADDRNOTAVAIL: "cannot assign requested address",
	EACCES: "permission denied",
	EPROTONOSUPPORT: "protocol not supported",
	ESOCKTNOSUPPORT: "protocol not supported",
};
