import type { AddressPlan, AddressPlan6 } from "../../drivers/ipam/driver.ts";
import {
	type Cidr,
	type Cidr6,
	cidr6Of,
	cidrOf,
	contains,
	contains6,
	formatCidr,
	formatCidr6,
	parseCidr,
	parseCidr6,
	sizeOf6,
} from "../../shared/cidr.ts";
import { EngineError } from "../../shared/errors.ts";
import { formatIp, type IpAddress, parseIp, parseIpv4, parseIpv6 } from "../../shared/ip.ts";
import type { IpamPool } from "../../store/networks.ts";

/** As clients send it: anything may be missing. */
export interface PoolRequest {
	readonly Subnet?: string;
	readonly IPRange?: string;
	readonly Gateway?: string;
	readonly AuxiliaryAddresses?: Readonly<Record<string, string>>;
}

/** The pools asked for, checked; "invalid" with docker's texts, all faults of one pool together. */
export function checkPools(requests: readonly PoolRequest[]): IpamPool[] {
	return requests.map(checkPool);
}

function checkPool(request: PoolRequest): IpamPool {
	const { Subnet = "", IPRange, Gateway, AuxiliaryAddresses = {} } = request;
	const subnet = networkOf(Subnet);
	if (!subnet) throw faults([`invalid subnet ${Subnet}: invalid CIDR block notation`]);
	const found = [
		...baseFault("subnet", Subnet, subnet),
		...(IPRange ? rangeFaults(IPRange, subnet) : []),
		...(Gateway ? addressFaults(`gateway ${Gateway}`, Gateway, subnet) : []),
		...Object.entries(AuxiliaryAddresses).flatMap(([name, text]) =>
			addressFaults(`auxiliary address ${name}`, text, subnet),
		),
	];
	if (found.length > 0) throw faults(found);
	return {
		Subnet,
		...(IPRange && { IPRange }),
		...(Gateway && { Gateway }),
		...(Object.keys(AuxiliaryAddresses).length > 0 && { AuxiliaryAddresses }),
	};
}

/** One fault stands alone, several are a list: Go's joined errors as docker prints them. */
export function faultList(found: readonly string[]): string {
	return found.length === 1 ? (found[0] ?? "") : found.map((one) => `* ${one}`).join("\n");
}

function faults(found: readonly string[]): EngineError {
	return new EngineError("invalid", `invalid network config:\n${faultList(found)}`);
}

function networkOf(text: string): Cidr | Cidr6 | undefined {
	return text.includes(":") ? parseCidr6(text) : parseCidr(text);
}

/** Whether the pool gives out IPv6 addresses. */
export function isIpv6Pool({ Subnet }: Pick<IpamPool, "Subnet">): boolean {
	return Subnet.includes(":");
}

function isIpv6Net(net: Cidr | Cidr6): net is Cidr6 {
	return typeof net.base === "bigint";
}

function textOf(net: Cidr | Cidr6): string {
	return isIpv6Net(net) ? formatCidr6(net) : formatCidr(net);
}

function holds(net: Cidr | Cidr6, address: IpAddress): boolean {
	if (isIpv6Net(net)) return typeof address === "bigint" && contains6(net, address);
	return typeof address === "number" && contains(net, address);
}

function baseFault(what: string, text: string, net: Cidr | Cidr6): string[] {
	const [address = ""] = text.split("/");
	return parseIp(address) === net.base ? [] : [`invalid ${what} ${text}: it should be ${textOf(net)}`];
}

function rangeFaults(text: string, subnet: Cidr | Cidr6): string[] {
	const range = networkOf(text);
	if (!range) return [`invalid ip-range ${text}: invalid CIDR block notation`];
	const bigger = range.prefixLength < subnet.prefixLength;
	const outside = `parent subnet ${textOf(subnet)} doesn't contain ip-range`;
	const fault = bigger ? `CIDR block is bigger than its parent subnet ${textOf(subnet)}` : outside;
	return [
		...(!bigger && holds(subnet, range.base) ? [] : [`invalid ip-range ${text}: ${fault}`]),
		...baseFault("ip-range", text, range),
	];
}

function addressFaults(what: string, text: string, subnet: Cidr | Cidr6): string[] {
	const address = parseIp(text);
	if (address === undefined) return [`invalid ${what}: invalid address`];
	if (holds(subnet, address)) return [];
	return [`invalid ${what}: parent subnet ${textOf(subnet)} doesn't contain this address`];
}

/** How addresses of an IPv4 pool are given out; "internal" in docker's words where two want the same one. */
export function addressPlan(pool: IpamPool): AddressPlan & { readonly subnet: Cidr } {
	const subnet = parseCidr(pool.Subnet) ?? cidrOf(0, 32);
	const range = pool.IPRange ? parseCidr(pool.IPRange) : undefined;
	const edges = subnet.prefixLength < 31 ? [subnet.base, subnet.base + 2 ** (32 - subnet.prefixLength) - 1] : [];
	const { gateway, reserved } = claims(pool, edges, parseIpv4);
	return { subnet, gateway, range, reserved };
}

/** The same of an IPv6 pool. */
export function addressPlan6(pool: IpamPool): AddressPlan6 & { readonly subnet: Cidr6 } {
	const subnet = parseCidr6(pool.Subnet) ?? cidr6Of(0n, 128);
	const range = pool.IPRange ? parseCidr6(pool.IPRange) : undefined;
	const edges = subnet.prefixLength < 127 ? [subnet.base, subnet.base + sizeOf6(subnet) - 1n] : [];
	const { gateway, reserved } = claims(pool, edges, parseIpv6);
	return { subnet, gateway, range, reserved };
}

/** Gateway and others' addresses, each wanted once. */
function claims<T extends IpAddress>(
	pool: IpamPool,
	edges: readonly T[],
	parse: (text: string) => T | undefined,
): { gateway: T | undefined; reserved: T[] } {
	const taken = new Set<T>(edges);
	const claim = (address: T, what: string) => {
		if (taken.has(address)) throw new EngineError("internal", `failed to allocate ${what}: Address already in use`);
		taken.add(address);
	};
	const gateway = pool.Gateway ? parse(pool.Gateway) : undefined;
	if (gateway !== undefined) claim(gateway, `gateway (${formatIp(gateway)})`);
	const reserved = Object.entries(pool.AuxiliaryAddresses ?? {}).flatMap(([name, text]) => {
		const address = parse(text);
		if (address === undefined) return [];
		claim(address, `secondary ip address (${name}:${text})`);
		return [address];
	});
	return { gateway, reserved };
}
