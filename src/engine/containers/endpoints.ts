import { isIP } from "node:net";
import { contains, contains6, parseCidr, parseCidr6 } from "../../shared/cidr.ts";
import { EngineError } from "../../shared/errors.ts";
import { shortId } from "../../shared/id.ts";
import { parseIp, parseIpv4, parseIpv6 } from "../../shared/ip.ts";
import { isLinkName } from "../networks/bridge-options.ts";
import { faultList } from "../networks/ipam-config.ts";
import type { EndpointRequest, NetworkRecord } from "../sandboxes/contract.ts";
import type { ContainerRecord, EndpointConfig } from "./record.ts";

const SYSCTLS = "com.docker.network.endpoint.sysctls";
const LINK_NAME = "com.docker.network.endpoint.ifname";

/** Whether the network can give what is asked of it; "invalid" with docker's texts, all faults together. */
export function checkEndpoint(network: NetworkRecord, config: EndpointConfig): void {
	const { aliases = [], ipamConfig = {}, macAddress } = config;
	const isUserDefined = network.config !== undefined;
	const found: string[] = [];
	if (aliases.length > 0 && !isUserDefined) {
		found.push("network-scoped alias is supported only for containers in user defined networks");
	}
	const { IPv4Address: address, IPv6Address: address6, LinkLocalIPs = [] } = ipamConfig;
	if (address && parseIpv4(address) === undefined) found.push(`invalid IPv4 address: ${address}`);
	if (address6 && isIP(address6) !== 6) found.push(`invalid IPv6 address: ${address6}`);
	for (const ip of LinkLocalIPs) if (!parseIp(ip)) found.push(`invalid link-local IP address: ${ip}`);
	if ((address || address6) && !isUserDefined) {
		found.push("user specified IP address is supported on user defined networks only");
	}
	const { subnetAsked, subnet6Asked } = network.config ?? {};
	const { subnet = "", subnet6 = "", config: stored } = network;
	const pools = [subnet, subnet6, ...(stored?.ipam.config.map(({ Subnet }) => Subnet) ?? [])];
	const holds = (text: string) => {
		const [four, six] = [parseCidr(text), parseCidr6(text)];
		if (six) return contains6(six, parseIpv6(address6 ?? "") ?? -1n);
		return four !== undefined && contains(four, parseIpv4(address ?? "") ?? -1);
	};
	const inside = (family: 4 | 6) => pools.some((text) => text.includes(":") === (family === 6) && holds(text));
	if (address) found.push(...subnetFaults(address, subnetAsked ? inside(4) : undefined));
	if (address6) found.push(...subnetFaults(address6, subnet6Asked ? inside(6) : undefined));
	found.push(...sysctlFaults(config.driverOpts?.[SYSCTLS]));
	if (found.length > 0) throw new EngineError("invalid", `invalid endpoint settings:\n${faultList(found)}`);
	if (macAddress) checkMac(macAddress);
	endpointRequest(network.id, config);
}

/** `inside` is undefined where no subnet of the family was asked for. */
function subnetFaults(address: string, inside: boolean | undefined): string[] {
	if (inside === undefined) {
		return ["user specified IP address is supported only when connecting to networks with user configured subnets"];
	}
	return inside ? [] : [`no configured subnet or ip-range contain the IP address ${address}`];
}

/** `02-42-ac-11-00-99` and `0242.ac11.0099`, which Go reads too, as the kernel writes them. */
function colons(mac: string): string {
	if (!/^([0-9a-f]{2}-){5}[0-9a-f]{2}$|^([0-9a-f]{4}\.){2}[0-9a-f]{4}$/i.test(mac)) return mac;
	return mac.replace(/[-.]/g, "").replace(/..(?=.)/g, "$&:");
}

export function checkMac(text: string): void {
	if (/^[0-9a-f]{2}(:[0-9a-f]{2}){5}$/i.test(colons(text)) && (Number.parseInt(text, 16) & 1) === 0) return;
	throw new EngineError("invalid", `invalid MAC address ${text}`);
}

/** What the sandbox is asked for. "invalid" for driver options that cannot be read. */
export function endpointRequest(networkId: string, config: EndpointConfig): EndpointRequest {
	const { ipamConfig, macAddress, gwPriority, driverOpts = {} } = config;
	const linkName = driverOpts[LINK_NAME];
	if (linkName !== undefined && !isLinkName(linkName)) {
		throw new EngineError("invalid", `invalid interface name ${JSON.stringify(linkName)}`);
	}
	const wrong = ipamConfig?.LinkLocalIPs?.find((text) => !isLinkLocal(text));
	if (wrong !== undefined) throw new EngineError("invalid", `invalid link local IP address: ${wrong}`);
	const sysctls = driverOpts[SYSCTLS];
	return {
		network: networkId,
		...(ipamConfig?.IPv4Address && { address: ipamConfig.IPv4Address }),
		...(ipamConfig?.IPv6Address && { address6: ipamConfig.IPv6Address }),
		...(ipamConfig?.LinkLocalIPs?.length && { linkLocal: ipamConfig.LinkLocalIPs }),
		...(macAddress && { macAddress: colons(macAddress).toLowerCase() }),
		...(gwPriority && { gwPriority }),
		...(sysctls && { sysctls: parseSysctls(sysctls) }),
		...(linkName && { linkName }),
	};
}

/** 169.254.0.0/16, fe80::/10 */
function isLinkLocal(text: string): boolean {
	const address = parseIp(text);
	return typeof address === "bigint" ? address >> 118n === 0x3fan : address !== undefined && address >>> 16 === 0xa9fe;
}

const SYSCTL = /^net[./](ipv4|ipv6|mpls)[./]([a-z0-9_]+)[./]IFNAME[./]([a-z0-9_]+)=(.*)$/;

function sysctlFaults(text: string | undefined): string[] {
	const wrong = text?.split(",").filter((entry) => !SYSCTL.test(entry)) ?? [];
	return wrong.map(
		(entry) =>
			`unrecognised network interface sysctl '${entry}'; represent 'net.X.Y.ethN.Z=V' as 'net.X.Y.IFNAME.Z=V', 'X' must be 'ipv4', 'ipv6' or 'mpls'`,
	);
}

/** `net.ipv4.conf.IFNAME.log_martians=1,net...` */
function parseSysctls(text: string): Record<string, string> {
	const entries = text.split(",").flatMap((entry): [string, string][] => {
		const [, family, kind, key, value = ""] = SYSCTL.exec(entry) ?? [];
		return family ? [[`${family}/${kind}/IFNAME/${key}`, value]] : [];
	});
	return Object.fromEntries(entries);
}

/** Docker's DNSNames of a container on a user-defined network. */
export function dnsNames({ id, name, config }: ContainerRecord, aliases: readonly string[] = []): string[] {
	return [...new Set([name, ...aliases, shortId(id), ...(config.Hostname ? [config.Hostname] : [])])];
}
