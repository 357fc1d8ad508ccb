import { EngineError, messageOf } from "../../shared/errors.ts";
import { addAddress, addAddress6 } from "../../sys/linux/address.ts";
import { SyscallError } from "../../sys/linux/libc.ts";
import { findLink, setUp } from "../../sys/linux/link.ts";
import { RouteSocket } from "../../sys/linux/netlink.ts";
import { writeSysctl } from "../../sys/linux/netns.ts";
import { addDefaultRoute } from "../../sys/linux/route.ts";
import type { EndpointAddress, EndpointSpec } from "./driver.ts";

/** What the kernel numbers the first interface after lo. */
const FIRST_INDEX = 2;

/** Everything of an endpoint that is set from inside its namespace, in the calling thread's. */
export function configure({ name, first, addresses, wire, sysctls = {} }: EndpointSpec): void {
	using inside = new RouteSocket();
	const index = first ? FIRST_INDEX : findLink(inside, name)?.index;
	if (index === undefined) throw new EngineError("internal", `cannot find interface ${name} after its creation`);
	prepareIpv6(name, addresses);
	for (const [path, value] of Object.entries(sysctls)) setSysctl(name, `net/${path.replaceAll("IFNAME", name)}`, value);
	if (wire) tellNeighbours(name);
	inside.request(
		// With its addresses on it when it comes up, the kernel tells the neighbours.
		...(wire ? [] : [setUp(index)]),
		...addresses.map((one) => addAny(index, one)),
		...(wire ? [setUp(index)] : []),
		...addresses.flatMap(({ gateway }) => (gateway === undefined ? [] : [addDefaultRoute(index, gateway)])),
	);
}

/** Says what is wrong in docker's words. */
function setSysctl(link: string, path: string, value: string): void {
	try {
		writeSysctl(path, value);
	} catch (error) {
		const missing = error instanceof Error && "code" in error && error.code === "ENOENT";
		const why = missing ? `/proc/sys/${path} is not a sysctl file` : `cannot set ${path}=${value}: ${messageOf(error)}`;
		throw new EngineError("internal", `failed to add interface ${link} to sandbox: ${why}`, { cause: error });
	}
}

/** Others on a wire may remember the address with the MAC of its last owner. */
function tellNeighbours(name: string): void {
	writeSysctl(`net/ipv4/conf/${name}/arp_notify`, "1");
	tolerate("ENOENT", () => writeSysctl(`net/ipv6/conf/${name}/ndisc_notify`, "1"));
}

export function addAny(index: number, { address, prefixLength }: EndpointAddress) {
	return typeof address === "bigint"
		? addAddress6(index, address, prefixLength)
		: addAddress(index, address, prefixLength);
}

/** As docker: a network without IPv6 has no link-local addresses either; interfaces that the container makes itself may. */
function prepareIpv6(name: string, addresses: readonly EndpointAddress[]): void {
	if (!addresses.some(({ address }) => typeof address === "bigint")) {
		disableIpv6(name);
		return;
	}
	// A sysctl of the container may have switched it off for new interfaces.
	writeSysctl(`net/ipv6/conf/${name}/disable_ipv6`, "0");
	writeSysctl(`net/ipv6/conf/${name}/accept_dad`, "0");
	// The engine is the router here; nobody else on the network shall claim to be one.
	writeSysctl(`net/ipv6/conf/${name}/accept_ra`, "0");
}

function disableIpv6(link: string): void {
	// A kernel started without IPv6 has no such file.
	tolerate("ENOENT", () => writeSysctl(`net/ipv6/conf/${link}/disable_ipv6`, "1"));
}

export function tolerate(code: string, work: () => void): void {
	try {
		work();
	} catch (error) {
		if (!(error instanceof Error && "code" in error && error.code === code)) throw error;
	}
}

/** On an ipvlan wire the address of a sandbox that has just gone is taken until the kernel has taken that apart. */
export function retriedWhileTaken(work: () => void): void {
	for (let tries = 1; ; tries++) {
		try {
			work();
			return;
		} catch (error) {
			if (!(error instanceof SyscallError) || error.code !== "EADDRINUSE" || tries === ADDRESS_TRIES) throw error;
			Bun.sleepSync(ADDRESS_WAIT_MS);
		}
	}
}

const ADDRESS_TRIES = 20;
const ADDRESS_WAIT_MS = 20;
