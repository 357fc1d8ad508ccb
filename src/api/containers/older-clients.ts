import type { MountRequest } from "../../engine/containers/config.ts";
import type { CreateRequest } from "../../engine/containers/contract.ts";
import type { EndpointConfig } from "../../engine/containers/record.ts";
import { invalid } from "../errors.ts";

const SYSCTLS = "com.docker.network.endpoint.sysctls";
const OF_INTERFACE = /^net\.[^.]+\.[^.]+\.(eth\d+)\./;

/** A create request as its API version means it, and docker's warnings. Source: moby, postContainersCreate. */
export function asOfVersion(asked: CreateRequest, minor: number): { request: CreateRequest; warnings: string[] } {
	const warnings: string[] = [];
	refuseNewer(asked, minor);
	const known = { ...asked, config: configOf(asked, minor), hostConfig: hostConfigOf(asked, minor) };
	const names = (asked.networks ?? []).map(({ networkName }) => networkName);
	if (minor < 44 && names.length > 1) {
		throw invalid(`Container cannot be created with multiple network endpoints: ${names.join(", ")}`);
	}
	if (asked.config.MacAddress && minor >= 44) {
		warnings.push(
			"The container-wide MacAddress field is now deprecated. It should be specified in EndpointsConfig instead.",
		);
	}
	return moveSysctls(
		minor < 48 ? { ...known, networks: asked.networks?.map(withoutPriority) } : known,
		minor,
		warnings,
	);
}

/** What came later and would change what the container is; all else that came later is left out. */
function refuseNewer({ hostConfig: { Mounts = [] } }: CreateRequest, minor: number): void {
	const refuse = (what: string, since: number) => {
		if (minor < since) throw invalid(`${what} needs API v1.${since} or newer`);
	};
	for (const { Type, BindOptions, VolumeOptions } of Mounts) {
		if (BindOptions?.ReadOnlyForceRecursive) refuse("BindOptions.ReadOnlyForceRecursive", 44);
		if (VolumeOptions?.Subpath) refuse("VolumeOptions.Subpath", 45);
		if (Type === "image") refuse('Mount type "Image"', 48);
	}
}

function configOf({ config }: CreateRequest, minor: number): CreateRequest["config"] {
	if (minor >= 44 || !config.Healthcheck) return config;
	const { StartInterval: _, ...Healthcheck } = config.Healthcheck;
	return { ...config, Healthcheck };
}

function hostConfigOf({ hostConfig }: CreateRequest, minor: number): CreateRequest["hostConfig"] {
	if (minor >= 44) return hostConfig;
	const { Annotations, KernelMemoryTCP, ...rest } = hostConfig;
	return {
		...rest,
		...(minor >= 43 && Annotations && { Annotations }),
		...(minor >= 40 && KernelMemoryTCP && { KernelMemoryTCP }),
		...(minor < 42 && { ConsoleSize: [0, 0] as [number, number] }),
		...(minor < 40 && { IpcMode: hostConfig.IpcMode || "shareable" }),
		...(hostConfig.Mounts && { Mounts: hostConfig.Mounts.map((mount) => mountOf(mount, minor)) }),
	};
}

/** Before 1.44 what lies below a read-only mount could be written to. */
function mountOf(mount: MountRequest, minor: number): MountRequest {
	if (mount.Type !== "bind") return mount;
	const { NonRecursive, CreateMountpoint, ...rest } = mount.BindOptions ?? {};
	const BindOptions = {
		...rest,
		...(minor >= 40 && NonRecursive && { NonRecursive }),
		...(minor >= 42 && CreateMountpoint && { CreateMountpoint }),
		...(mount.ReadOnly && { ReadOnlyNonRecursive: true }),
	};
	return { ...mount, ...((mount.BindOptions || mount.ReadOnly) && { BindOptions }) };
}

function withoutPriority({ gwPriority: _, ...endpoint }: EndpointConfig): EndpointConfig {
	return endpoint;
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
