import { formatMac, macBytes } from "../../shared/mac.ts";
import { SyscallError } from "./libc.ts";
import {
	attribute,
	attributesOf,
	joinBytes,
	type NetlinkRequest,
	NLM_F_CREATE,
	NLM_F_EXCL,
	numberOf,
	type RouteSocket,
	textOf,
	u32,
	view,
} from "./netlink.ts";

const RTM_NEWLINK = 16;
const RTM_DELLINK = 17;
const RTM_GETLINK = 18;
const IFF_UP = 1;
const IFLA_ADDRESS = 1;
const IFLA_IFNAME = 3;
const IFLA_MTU = 4;
const IFLA_LINK = 5;
const IFLA_MASTER = 10;
const IFLA_LINKINFO = 18;
const IFLA_IFALIAS = 20;
const IFLA_GROUP = 27;
const IFLA_NET_NS_FD = 28;
const IFLA_GSO_MAX_SIZE = 41;
const IFLA_GRO_MAX_SIZE = 58;
const IFLA_GSO_IPV4_MAX_SIZE = 63;
const IFLA_GRO_IPV4_MAX_SIZE = 64;
const IFLA_INFO_KIND = 1;
const IFLA_INFO_DATA = 2;
const IFLA_INFO_SLAVE_KIND = 4;
const IFLA_INFO_SLAVE_DATA = 5;
const IFLA_BR_NF_CALL_IPTABLES = 36;
const IFLA_BR_NF_CALL_IP6TABLES = 37;
const IFLA_BR_MULTI_BOOLOPT = 46;
/** BR_BOOLOPT_NO_LL_LEARN as a bit */
const NO_LINKLOCAL_LEARN = 1;
const IFLA_BRPORT_MODE = 4;
const IFLA_BRPORT_ISOLATED = 33;
const VETH_INFO_PEER = 1;
const IFLA_MACVLAN_MODE = 1;
const IFLA_IPVLAN_MODE = 1;
const IFLA_IPVLAN_FLAGS = 2;
const IFLA_VLAN_ID = 1;
const NESTED = 0x8000;

export interface Link {
	readonly index: number;
	readonly name: string;
	readonly up: boolean;
	readonly mtu: number;
	readonly mac: string;
	/** index of the bridge it is a port of */
	readonly master?: number;
	/** 0: none in particular */
	readonly group: number;
	readonly kind: string;
	readonly alias: string;
	/** How large packets of IPv4 may be that are handled as one, bytes; undefined where the kernel has no such setting. */
	readonly segmentation4?: number;
}

/** Every interface of the socket's namespace. */
export function listLinks(socket: RouteSocket): Link[] {
	// ip -d link show
	return socket
		.dump({ type: RTM_GETLINK, body: linkHeader(0, 0), twin: "ip link show" })
		.map((message) => linkOf(message.body));
}

/** One interface by its name; undefined when there is none. */
export function findLink(socket: RouteSocket, name: string): Link | undefined {
	// ip -d link show dev NAME
	const body = joinBytes([linkHeader(0, 0), attribute(IFLA_IFNAME, name)]);
	try {
		const found = socket.get({ type: RTM_GETLINK, body, twin: `ip link show dev ${name}` });
		return linkOf(found.body);
	} catch (error) {
		if (error instanceof SyscallError && error.code === "ENODEV") return undefined;
		throw error;
	}
}

/** `ip link add NAME address MAC [mtu MTU] type bridge no_linklocal_learn 1`, up at once. */
export function createBridge(name: string, mac: string, mtu?: number): NetlinkRequest {
	return {
		type: RTM_NEWLINK,
		flags: NLM_F_CREATE | NLM_F_EXCL,
		body: joinBytes([
			linkHeader(0, IFF_UP),
			attribute(IFLA_IFNAME, name),
			attribute(IFLA_ADDRESS, macBytes(mac)),
			...(mtu === undefined ? [] : [attribute(IFLA_MTU, mtu)]),
			attribute(IFLA_LINKINFO | NESTED, noLinklocalLearn()),
		]),
		twin: `ip link add ${name} type bridge`,
	};
}

/**
 * `ip link set dev INDEX type bridge no_linklocal_learn 1`: of frames to 01:80:c2:00:00:0X, which pass no rule on their way to the bridge itself, it does not
 * learn where a MAC is. Linux before 5.0 passes over it.
 */
export function setNoLinklocalLearn(index: number): NetlinkRequest {
	const body = joinBytes([linkHeader(index, 0), attribute(IFLA_LINKINFO | NESTED, noLinklocalLearn())]);
	return { type: RTM_NEWLINK, body, twin: `ip link set dev ${index} type bridge no_linklocal_learn 1` };
}

function noLinklocalLearn(): Uint8Array {
	const option = joinBytes([u32(NO_LINKLOCAL_LEARN), u32(NO_LINKLOCAL_LEARN)]);
	return joinBytes([
		attribute(IFLA_INFO_KIND, "bridge"),
		attribute(IFLA_INFO_DATA | NESTED, attribute(IFLA_BR_MULTI_BOOLOPT, option)),
	]);
}

/** `ip link set dev INDEX alias TEXT`; an alias given at creation is not kept by the kernel. */
export function setAlias(index: number, alias: string): NetlinkRequest {
	const body = joinBytes([linkHeader(index, 0), attribute(IFLA_IFALIAS, alias)]);
	return { type: RTM_NEWLINK, body, twin: `ip link set dev ${index} alias ${alias}` };
}

export interface VethRequest {
	readonly name: string;
	readonly mtu: number;
	/** Of both ends: see setSegmentation(). */
	readonly segmentation?: number;
	/** index of the bridge it joins */
	readonly master?: number;
	/** Of the end that is here. */
	readonly group?: number;
	/** The other end; `netnsFd` is an open namespace file. The kernel numbers it there: 2 in a namespace that has only lo. */
	readonly peer: { readonly name: string; readonly netnsFd: number; readonly mac: string };
}

/** `ip link add NAME up mtu M master BR group G type veth peer name eth0 netns NS`: in one message; the peer is still down. */
export function createVeth({ name, mtu, segmentation: size, master, group, peer }: VethRequest): NetlinkRequest {
	const peerBody = joinBytes([
		// Not up yet: the kernel joins the two ends after it has configured the peer, and a lone end cannot be opened (ENOTCONN).
		linkHeader(0, 0),
		attribute(IFLA_IFNAME, peer.name),
		attribute(IFLA_MTU, mtu),
		attribute(IFLA_ADDRESS, macBytes(peer.mac)),
		attribute(IFLA_NET_NS_FD, peer.netnsFd),
		...segmentation(size),
	]);
	const info = joinBytes([
		attribute(IFLA_INFO_KIND, "veth"),
		attribute(IFLA_INFO_DATA | NESTED, attribute(VETH_INFO_PEER | NESTED, peerBody)),
	]);
	return {
		type: RTM_NEWLINK,
		flags: NLM_F_CREATE | NLM_F_EXCL,
		body: joinBytes([
			linkHeader(0, IFF_UP),
			attribute(IFLA_IFNAME, name),
			attribute(IFLA_MTU, mtu),
			...segmentation(size),
			...(master === undefined ? [] : [attribute(IFLA_MASTER, master)]),
			...(group === undefined ? [] : [attribute(IFLA_GROUP, group)]),
			attribute(IFLA_LINKINFO | NESTED, info),
		]),
		twin: `ip link add ${name} type veth peer name ${peer.name}`,
	};
}

/** Modes of a macvlan interface, by the kernel's numbers. */
export const MACVLAN_MODES = { private: 1, vepa: 2, bridge: 4, passthru: 8 } as const;

export type MacvlanMode = keyof typeof MACVLAN_MODES;

export interface MacvlanRequest {
	/** In the namespace. */
	readonly name: string;
	readonly netnsFd: number;
	/** index of the interface whose wire it shares */
	readonly parent: number;
	readonly mode: MacvlanMode;
	readonly mac: string;
	readonly mtu: number;
}

/** `ip link add NAME link PARENT netns NS address MAC mtu M type macvlan mode MODE`: it is down. */
export function createMacvlan({ name, netnsFd, parent, mode, mac, mtu }: MacvlanRequest): NetlinkRequest {
	const attributes = [
		attribute(IFLA_LINK, parent),
		attribute(IFLA_MTU, mtu),
		attribute(IFLA_ADDRESS, macBytes(mac)),
		attribute(IFLA_NET_NS_FD, netnsFd),
	];
	const data = attribute(IFLA_MACVLAN_MODE, MACVLAN_MODES[mode]);
	return newLink(name, "macvlan", data, attributes, `ip link add ${name} link ${parent} type macvlan mode ${mode}`);
}

/** Modes and flags of an ipvlan interface, by the kernel's numbers. */
export const IPVLAN_MODES = { l2: 0, l3: 1, l3s: 2 } as const;
export const IPVLAN_FLAGS = { bridge: 0, private: 1, vepa: 2 } as const;

export interface IpvlanRequest extends Pick<MacvlanRequest, "name" | "netnsFd" | "parent" | "mtu"> {
	readonly mode: keyof typeof IPVLAN_MODES;
	readonly flag: keyof typeof IPVLAN_FLAGS;
}

/** `ip link add NAME link PARENT netns NS mtu M type ipvlan mode MODE FLAG`: it is down, its MAC is the parent's. */
export function createIpvlan({ name, netnsFd, parent, mode, flag, mtu }: IpvlanRequest): NetlinkRequest {
	const attributes = [attribute(IFLA_LINK, parent), attribute(IFLA_MTU, mtu), attribute(IFLA_NET_NS_FD, netnsFd)];
	const data = joinBytes([
		attribute(IFLA_IPVLAN_MODE, Uint8Array.of(IPVLAN_MODES[mode], 0)),
		attribute(IFLA_IPVLAN_FLAGS, Uint8Array.of(IPVLAN_FLAGS[flag], 0)),
	]);
	return newLink(
		name,
		"ipvlan",
		data,
		attributes,
		`ip link add ${name} link ${parent} type ipvlan mode ${mode} ${flag}`,
	);
}

/** Whether the kernel knows interfaces of this kind, which are on top of another: it is asked for one on top of none. Loads the module where there is one. */
export function knowsLinkKind(socket: RouteSocket, kind: "ipvlan" | "macvlan" | "vlan"): boolean {
	try {
		// ip link add nothing type ipvlan
		socket.request(newLink("nothing", kind, undefined, [], `ip link add nothing type ${kind}`));
	} catch (error) {
		// EINVAL: it knows the kind, and misses the other interface.
		return !(error instanceof SyscallError && error.code === "EOPNOTSUPP");
	}
	return true;
}

/** `ip link add NAME link PARENT type vlan id ID` */
export function createVlan(name: string, parent: number, id: number): NetlinkRequest {
	const data = attribute(IFLA_VLAN_ID, Uint8Array.of(id & 255, id >> 8));
	return newLink(name, "vlan", data, [attribute(IFLA_LINK, parent)], `ip link add ${name} type vlan id ${id}`);
}

/** `ip link add NAME type dummy` */
export function createDummy(name: string): NetlinkRequest {
	return newLink(name, "dummy", undefined, [], `ip link add ${name} type dummy`);
}

function newLink(
	name: string,
	kind: string,
	data: Uint8Array | undefined,
	attributes: readonly Uint8Array[],
	twin: string,
): NetlinkRequest {
	const info = joinBytes([
		attribute(IFLA_INFO_KIND, kind),
		...(data ? [attribute(IFLA_INFO_DATA | NESTED, data)] : []),
	]);
	const body = joinBytes([
		linkHeader(0, 0),
		attribute(IFLA_IFNAME, name),
		...attributes,
		attribute(IFLA_LINKINFO | NESTED, info),
	]);
	return { type: RTM_NEWLINK, flags: NLM_F_CREATE | NLM_F_EXCL, body, twin };
}

/** `bridge link set dev NAME hairpin on`: frames may leave by the port they came in, so that a sandbox reaches itself by its published port. */
export function setHairpin(name: string): NetlinkRequest {
	return bridgePort(name, IFLA_BRPORT_MODE, "hairpin");
}

/** `bridge link set dev NAME isolated on`: isolated ports reach the bridge, and not each other. */
export function setIsolated(name: string): NetlinkRequest {
	return bridgePort(name, IFLA_BRPORT_ISOLATED, "isolated");
}

function bridgePort(name: string, flag: number, word: string): NetlinkRequest {
	const info = joinBytes([
		attribute(IFLA_INFO_SLAVE_KIND, "bridge"),
		attribute(IFLA_INFO_SLAVE_DATA | NESTED, attribute(flag, Uint8Array.of(1))),
	]);
	const body = joinBytes([linkHeader(0, 0), attribute(IFLA_IFNAME, name), attribute(IFLA_LINKINFO | NESTED, info)]);
	return { type: RTM_NEWLINK, body, twin: `bridge link set dev ${name} ${word} on` };
}

/** `ip link set dev INDEX down name NAME` */
export function setDownAs(index: number, name: string): NetlinkRequest[] {
	const body = joinBytes([linkHeader(index, 0), attribute(IFLA_IFNAME, name)]);
	return [setDown(index), { type: RTM_NEWLINK, body, twin: `ip link set dev ${index} name ${name}` }];
}

/** `ip link set dev INDEX master MASTER group GROUP` */
export function setMaster(index: number, master: number, group: number): NetlinkRequest {
	const body = joinBytes([linkHeader(index, 0), attribute(IFLA_MASTER, master), attribute(IFLA_GROUP, group)]);
	return { type: RTM_NEWLINK, body, twin: `ip link set dev ${index} master ${master} group ${group}` };
}

/** `ip link set dev INDEX group GROUP`: of a group all can be deleted together. */
export function setGroup(index: number, group: number): NetlinkRequest {
	const body = joinBytes([linkHeader(index, 0), attribute(IFLA_GROUP, group)]);
	return { type: RTM_NEWLINK, body, twin: `ip link set dev ${index} group ${group}` };
}

/** `ip link set dev INDEX gso_max_size SIZE gro_max_size SIZE gso_ipv4_max_size SIZE gro_ipv4_max_size SIZE` */
export function setSegmentation(index: number, size: number): NetlinkRequest {
	const body = joinBytes([linkHeader(index, 0), ...segmentation(size)]);
	return { type: RTM_NEWLINK, body, twin: `ip link set dev ${index} gso_max_size ${size}` };
}

/** How large the packets may be that the kernel handles as one, bytes: of IPv6, and of IPv4, which kernels before 6.3 overlook. */
function segmentation(size: number | undefined): Uint8Array[] {
	if (size === undefined) return [];
	const kinds = [IFLA_GSO_MAX_SIZE, IFLA_GRO_MAX_SIZE, IFLA_GSO_IPV4_MAX_SIZE, IFLA_GRO_IPV4_MAX_SIZE];
	return kinds.map((kind) => attribute(kind, size));
}

/** `ip link set dev INDEX down` */
export function setDown(index: number): NetlinkRequest {
	const body = linkHeader(index, 0);
	view(body).setUint32(12, IFF_UP, true);
	return { type: RTM_NEWLINK, body, twin: `ip link set dev ${index} down` };
}

/** `ip link set dev INDEX up` */
export function setUp(index: number): NetlinkRequest {
	return { type: RTM_NEWLINK, body: linkHeader(index, IFF_UP), twin: `ip link set dev ${index} up` };
}

/** `ip link del dev INDEX`: blocks for tens of milliseconds. */
export function deleteLink(index: number): NetlinkRequest {
	return { type: RTM_DELLINK, body: linkHeader(index, 0), twin: `ip link del dev ${index}` };
}

/** struct ifinfomsg; IFF_UP in `flags` sets it, other flags stay. */
function linkHeader(index: number, flags: number): Uint8Array {
	const out = new Uint8Array(16);
	view(out).setInt32(4, index, true);
	view(out).setUint32(8, flags, true);
	view(out).setUint32(12, flags, true);
	return out;
}

function linkOf(body: Uint8Array): Link {
	const header = view(body);
	const attributes = attributesOf(body, 16);
	const info = attributes.get(IFLA_LINKINFO);
	return {
		index: header.getInt32(4, true),
		name: textOf(attributes.get(IFLA_IFNAME)),
		up: (header.getUint32(8, true) & IFF_UP) !== 0,
		mtu: numberOf(attributes, IFLA_MTU) ?? 1500,
		mac: formatMac(attributes.get(IFLA_ADDRESS) ?? new Uint8Array(6)),
		master: numberOf(attributes, IFLA_MASTER),
		group: numberOf(attributes, IFLA_GROUP) ?? 0,
		kind: info ? textOf(attributesOf(info, 0).get(IFLA_INFO_KIND)) : "",
		alias: textOf(attributes.get(IFLA_IFALIAS)),
		segmentation4: numberOf(attributes, IFLA_GSO_IPV4_MAX_SIZE),
	};
}

/**
 * `ip link set dev INDEX type bridge nf_call_iptables 1 nf_call_ip6tables 1`: what passes inside this bridge comes to the inet hooks, whatever the host's
 * sysctl says; needs the module br_netfilter.
 */
export function setBridgeFilter(index: number, on: boolean): NetlinkRequest {
	const flag = Uint8Array.of(on ? 1 : 0);
	const info = joinBytes([
		attribute(IFLA_INFO_KIND, "bridge"),
		attribute(
			IFLA_INFO_DATA | NESTED,
			joinBytes([attribute(IFLA_BR_NF_CALL_IPTABLES, flag), attribute(IFLA_BR_NF_CALL_IP6TABLES, flag)]),
		),
	]);
	const body = joinBytes([linkHeader(index, 0), attribute(IFLA_LINKINFO | NESTED, info)]);
	return { type: RTM_NEWLINK, body, twin: `ip link set dev ${index} type bridge nf_call_iptables ${on ? 1 : 0}` };
}
