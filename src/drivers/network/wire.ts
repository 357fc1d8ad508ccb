import { randomBytes } from "node:crypto";
import { EngineError } from "../../shared/errors.ts";
import { SyscallError } from "../../sys/linux/libc.ts";
import {
	createDummy,
	createIpvlan,
	createMacvlan,
	createVlan,
	deleteLink,
	findLink,
	type Link,
	setAlias,
	setDownAs,
	setUp,
} from "../../sys/linux/link.ts";
import type { RouteSocket } from "../../sys/linux/netlink.ts";
import type { EndpointSpec, ParentSpec } from "./driver.ts";

/** The parent, made first where it is ours to make. `ours` when it is to be taken down with the network. */
export function openParent(socket: RouteSocket, spec: ParentSpec): { link: Link; ours: boolean } {
	const known = findLink(socket, spec.name);
	if (known?.name === "lo")
		throw new EngineError("invalid", `loopback interface is not a valid ${spec.driver} parent link`);
	if (known) return { link: known, ours: known.alias === spec.alias };
	make(socket, spec);
	const link = findLink(socket, spec.name);
	if (!link) throw new EngineError("internal", `cannot find interface ${spec.name} after its creation`);
	socket.request(setAlias(link.index, spec.alias), setUp(link.index));
	return { link: { ...link, alias: spec.alias }, ours: true };
}

function make(socket: RouteSocket, { name, make: how }: ParentSpec): void {
	if (!how) throw new EngineError("invalid", `cannot find parent interface ${name}`);
	const of = how.kind === "vlan" ? findLink(socket, how.of) : undefined;
	if (how.kind === "vlan" && !of) {
		throw new EngineError("invalid", `-o parent interface was not found on the host: ${how.of}`);
	}
	try {
		socket.request(how.kind === "vlan" ? createVlan(name, of?.index ?? 0, how.id) : createDummy(name));
	} catch (error) {
		if (!(error instanceof SyscallError) || error.code !== "EOPNOTSUPP") throw error;
		const text = `cannot create ${how.kind} interface ${name}: operation not supported by this kernel`;
		throw new EngineError("unsupported", text, { cause: error });
	}
}

/**
 * The endpoint's interface, still down, in its namespace, under the name that is answered: before Linux 6.14 a new interface's name must be free in the
 * namespace of the caller too, where the parent may be called eth0. nameEndpoint() gives it its own.
 */
export function createEndpoint(socket: RouteSocket, parent: Link, netnsFd: number, spec: EndpointSpec): string {
	const name = `new-${randomBytes(5).toString("hex")}`;
	const { mac, wire = { driver: "macvlan", mode: "bridge" } } = spec;
	// The wire may be of another size since.
	const { index, mtu } = findLink(socket, parent.name) ?? parent;
	try {
		const common = { name, netnsFd, parent: index, mtu };
		socket.request(
			wire.driver === "ipvlan"
				? createIpvlan({ ...wire, ...common })
				: createMacvlan({ ...common, mode: wire.mode, mac }),
		);
	} catch (error) {
		if (!(error instanceof SyscallError) || !["EBUSY", "EINVAL"].includes(error.code)) throw error;
		const text = `cannot share interface ${parent.name} in ${wire.driver} mode ${wire.mode}: it is a port of a bridge, or used in another mode`;
		throw new EngineError("conflict", text, { cause: error });
	}
	return name;
}

/** @param inside of the endpoint's namespace */
export function nameEndpoint(inside: RouteSocket, from: string, to: string): void {
	const link = findLink(inside, from);
	if (!link) throw new EngineError("internal", `cannot find interface ${from} after its creation`);
	inside.request(...setDownAs(link.index, to));
}

/** Of the namespace that `inside` is in: blocks for some 30 ms. */
export function removeEndpoint(inside: RouteSocket, name: string): void {
	const link = findLink(inside, name);
	if (link) inside.request(deleteLink(link.index));
}
