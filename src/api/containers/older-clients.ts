import type { CreateRequest } from "../../engine/containers/contract.ts";
import type { EndpointConfig } from "../../engine/containers/record.ts";
import { invalid } from "../errors.ts";

const SYSCTLS = "com.docker.network.endpoint.sysctls";
const OF_INTERFACE = /^net\.[^.]+\.[^.]+\.(eth\d+)\./;

/** A create request as its API version means it, and docker's warnings. Source: moby, handleMACAddressBC and handleSysctlBC. */
export function asOfVersion(asked: CreateRequest, minor: number): { request: CreateRequest; warnings: string[] } {
	const warnings: string[] = [];
	if (asked.config.MacAddress && minor >= 44) {
		warnings.push(
			"The container-wide MacAddress field is now deprecated. It should be specified in EndpointsConfig instead.",
		);
	}
	return moveSysctls(asked, minor, warnings);
}

/** Sysctls of an interface belong to its endpoint: since 1.48 they are taken there alone, before that eth0's are moved. */
function moveSysctls(asked: CreateRequest, minor: number, warnings: string[]) {
	const all = Object.entries(asked.hostConfig.Sysctls ?? {});
	const ofInterface = all.filter(([name]) => OF_INTERFACE.test(name));
	const mode = asked.hostConfig.NetworkMode;
	if (ofInterface.length === 0 || mode === "host" || mode.startsWith("container:")) return { request: asked, warnings };
	const moved = ofInterface.map(([name, value]) => {
		if (minor >= 48) {
			throw invalid(`interface specific sysctl setting "${name}" must be supplied using driver option '${SYSCTLS}'`);
		}
		if (OF_INTERFACE.exec(name)?.[1] !== "eth0") {
			throw invalid(
				`unable to determine network endpoint for sysctl ${name}, use driver option '${SYSCTLS}' to set per-interface sysctls`,
			);
		}
		const option = `${name.replace(".eth0.", ".IFNAME.")}=${value}`;
		warnings.push(`Migrated sysctl ${JSON.stringify(name)} to DriverOpts{"${SYSCTLS}":${JSON.stringify(option)}}.`);
		return option;
	});
	const { Sysctls: _, ...hostConfig } = asked.hostConfig;
	const kept = Object.fromEntries(all.filter((entry) => !ofInterface.includes(entry)));
	const request: CreateRequest = {
		...asked,
		hostConfig: { ...hostConfig, ...(Object.keys(kept).length > 0 && { Sysctls: kept }) },
		networks: withOption(asked.networks ?? [], mode, moved),
	};
	return { request, warnings };
}

/** The options of NetworkMode's endpoint, after those it has. */
function withOption(networks: readonly EndpointConfig[], mode: string, moved: readonly string[]): EndpointConfig[] {
	const main = networks.find(({ networkName }) => networkName === mode) ?? { networkName: mode };
	const before = main.driverOpts?.[SYSCTLS];
	const driverOpts = { ...main.driverOpts, [SYSCTLS]: [...(before ? [before] : []), ...moved].join(",") };
	return [...networks.filter((one) => one !== main), { ...main, driverOpts }];
}
