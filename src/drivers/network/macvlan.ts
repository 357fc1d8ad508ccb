import { EngineError } from "../../shared/errors.ts";
import { SyscallError } from "../../sys/linux/libc.ts";
import {
	createDummy,
	createMacvlan,
	createVlan,
	deleteLink,
	findLink,
	type Link,
	setAlias,
	setUp,
} from "../../sys/linux/link.ts";
import type { RouteSocket } from "../../sys/linux/netlink.ts";
import type { EndpointSpec, ParentSpec } from "./driver.ts";

/** The parent, made first where it is ours to make. `ours` when it is to be taken down with the network. */
export function openParent(socket: RouteSocket, spec: ParentSpec): { link: Link; ours: boolean } {
	const known = findLink(socket, spec.name);
	if (known?.name === "lo") throw new EngineError("invalid", "loopback interface is not a valid macvlan parent link");
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
		throw new EngineError("invalid", `failed to find master interface ${how.of} on the Docker host: Link not found`);
	}
	try {
		socket.request(how.kind === "vlan" ? createVlan(name, of?.index ?? 0, how.id) : createDummy(name));
	} catch (error) {
		if (!(error instanceof SyscallError) || error.code !== "EOPNOTSUPP") throw error;
		const text = `cannot create ${how.kind} interface ${name}: operation not supported by this kernel`;
		throw new EngineError("unsupported", text, { cause: error });
	}
}

/** The endpoint's interface, still down, in its namespace. */
export function createEndpoint(socket: RouteSocket, parent: Link, netnsFd: number, spec: EndpointSpec): void {
	const { name, mac, macvlan: mode = "bridge" } = spec;
	// The wire may be of another size since.
	const { index, mtu } = findLink(socket, parent.name) ?? parent;
	try {
		socket.request(createMacvlan({ name, netnsFd, parent: index, mode, mac, mtu }));
	} catch (error) {
		if (!(error instanceof SyscallError) || !["EBUSY", "EINVAL"].includes(error.code)) throw error;
		const text = `cannot share interface ${parent.name} in macvlan mode ${mode}: it is a port of a bridge, or used in another mode`;
		throw new EngineError("conflict", text, { cause: error });
	}
}

/** Of the namespace that `inside` is in: blocks for some 30 ms. */
export function removeEndpoint(inside: RouteSocket, name: string): void {
	const link = findLink(inside, name);
	if (link) inside.request(deleteLink(link.index));
}
