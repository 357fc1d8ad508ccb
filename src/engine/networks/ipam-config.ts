import type { AddressPlan } from "../../drivers/ipam/driver.ts";
import { type Cidr, cidrOf, contains, formatCidr, parseCidr } from "../../shared/cidr.ts";
import { EngineError } from "../../shared/errors.ts";
import { formatIpv4, parseIpv4 } from "../../shared/ip.ts";
import type { IpamPool } from "../../store/networks.ts";
import { unsupported } from "./bridge-options.ts";

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
	if (Subnet.includes(":")) throw unsupported("IPAM.Config.Subnet with IPv6", Subnet);
	const subnet = parseCidr(Subnet);
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

function baseFault(what: string, text: string, cidr: Cidr): string[] {
	const [address = ""] = text.split("/");
	return parseIpv4(address) === cidr.base ? [] : [`invalid ${what} ${text}: it should be ${formatCidr(cidr)}`];
}

function rangeFaults(text: string, subnet: Cidr): string[] {
	const range = parseCidr(text);
	if (!range) return [`invalid ip-range ${text}: invalid CIDR block notation`];
	const inside = range.prefixLength >= subnet.prefixLength && contains(subnet, range.base);
	return [
		...(inside ? [] : [`invalid ip-range ${text}: parent subnet ${formatCidr(subnet)} doesn't contain ip-range`]),
		...baseFault("ip-range", text, range),
	];
}

function addressFaults(what: string, text: string, subnet: Cidr): string[] {
	const address = parseIpv4(text);
	if (address === undefined) return [`invalid ${what}: invalid address`];
	if (contains(subnet, address)) return [];
	return [`invalid ${what}: parent subnet ${formatCidr(subnet)} doesn't contain this address`];
}

/** How addresses of the pool are given out; "internal" in docker's words where two want the same one. */
export function addressPlan(pool: IpamPool): AddressPlan & { readonly subnet: Cidr } {
	const subnet = parseCidr(pool.Subnet) ?? cidrOf(0, 32);
	const range = pool.IPRange ? parseCidr(pool.IPRange) : undefined;
	const edges = subnet.prefixLength < 31 ? [subnet.base, subnet.base + 2 ** (32 - subnet.prefixLength) - 1] : [];
	const taken = new Set(edges);
	const gateway = pool.Gateway ? parseIpv4(pool.Gateway) : undefined;
	const claim = (address: number, what: string) => {
		if (taken.has(address)) throw new EngineError("internal", `failed to allocate ${what}: Address already in use`);
		taken.add(address);
	};
	if (gateway !== undefined) claim(gateway, `gateway (${formatIpv4(gateway)})`);
	const reserved = Object.entries(pool.AuxiliaryAddresses ?? {}).map(([name, text]) => {
		const address = parseIpv4(text) ?? 0;
		claim(address, `secondary ip address (${name}:${text})`);
		return address;
	});
	return { subnet, gateway, range, reserved };
}
