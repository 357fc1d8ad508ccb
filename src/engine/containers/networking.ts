import { EngineError, messageOf } from "../../shared/errors.ts";
import { findNetwork } from "../networks/find.ts";
import type { EndpointRequest, NetworkRecord } from "../sandboxes/contract.ts";
import { type Context, containerDir, find, isRunning } from "./context.ts";
import { checkEndpoint, endpointRequest } from "./endpoints.ts";
import { portsAsked } from "./ports.ts";
import type { ContainerRecord, EndpointConfig, NetworkSettings } from "./record.ts";
import { splitSysctls } from "./spec.ts";

const PREFIX = "container:";

/** Of `container:REF`: the container whose network is shared. */
export function sharedWith(networkMode: string): string | undefined {
	return networkMode.startsWith(PREFIX) ? networkMode.slice(PREFIX.length) : undefined;
}

/** Whether the container is on bridge networks, or would be. */
export function isNetworked(networkMode: string): boolean {
	return networkMode !== "host" && networkMode !== "none" && sharedWith(networkMode) === undefined;
}

/** The networks a container shall be on. */
export function networksAsked({ networks, hostConfig, config }: ContainerRecord): readonly EndpointConfig[] {
	if (!isNetworked(hostConfig.NetworkMode) || config.NetworkDisabled) return [];
	return networks ?? [{ networkName: hostConfig.NetworkMode }];
}

/**
 * What a create request asks for: each network once, by its name where there is one; NetworkMode's when none is named. A network that is not
 * there yet is only missed at the start, as docker has it. "invalid" in docker's words.
 */
export function networksFor(
	context: Pick<Context, "sandboxes">,
	networkMode: string,
	asked: readonly EndpointConfig[],
): readonly EndpointConfig[] | undefined {
	if (!isNetworked(networkMode)) return undefined;
	const known = asked.length > 0 || networkMode !== "bridge" ? context.sandboxes.networks() : [];
	const main = nameOf(known, networkMode);
	const found = new Map<string, EndpointConfig>();
	for (const one of asked) {
		const networkName = nameOf(known, one.networkName);
		const network = known.find(({ name }) => name === networkName);
		if (network && ["bridge", "macvlan", "ipvlan"].includes(network.driver)) checkOnCreate(network, one);
		found.set(networkName, { ...one, networkName });
	}
	if (found.size === 0) found.set(main, { networkName: main });
	const list = [...found.values()];
	const plain = list.length === 1 && list[0]?.networkName === "bridge" && Object.keys(list[0]).length === 1;
	return plain && networkMode === "bridge" ? undefined : list;
}

function checkOnCreate(network: NetworkRecord, config: EndpointConfig): void {
	try {
		checkEndpoint(network, config);
	} catch (error) {
		if (!(error instanceof EngineError)) throw error;
		throw new EngineError(error.code, `invalid config for network ${network.name}: ${error.message}`, { cause: error });
	}
}

function nameOf(networks: readonly NetworkRecord[], ref: string): string {
	try {
		return ref === "default" ? "bridge" : findNetwork(networks, ref).name;
	} catch {
		return ref;
	}
}

/** `container:NAME` with the full id in place of the name, where there is such a container. */
export function networkModeFor(context: Pick<Context, "store">, networkMode: string): string {
	const ref = sharedWith(networkMode);
	if (ref === undefined) return networkMode;
	try {
		return `${PREFIX}${find(context, ref).id}`;
	} catch {
		return networkMode;
	}
}

/** Joins the networks of the record, or the network of another container. */
export async function joinNetworks(context: Context, record: ContainerRecord): Promise<NetworkSettings> {
	const { NetworkMode } = record.hostConfig;
	if (sharedWith(NetworkMode) !== undefined) {
		const { id, network } = sharedTarget(context, record);
		context.sandboxes.checkShared(record.id, id);
		return {
			sandboxId: "",
			endpoints: [],
			ports: [],
			...(network?.sandboxPath && { sandboxPath: network.sandboxPath }),
		};
	}
	const mode = modeOf(record);
	try {
		return await context.sandboxes.join({
			containerId: record.id,
			containerName: record.name,
			mode,
			...(record.networks && mode === "bridge" && { endpoints: requestsOf(context, record) }),
			ports: mode === "bridge" ? portsAsked(record.config, record.hostConfig) : [],
			sysctls: splitSysctls(record).net,
		});
	} catch (error) {
		// The kernel's or the client's own value is at fault, no network.
		if (error instanceof EngineError && /^(cannot set )?sysctl/.test(error.message)) throw error;
		const code = error instanceof EngineError ? error.code : "internal";
		throw new EngineError(code, `failed to set up container networking: ${messageOf(error)}`, { cause: error });
	}
}

/** With networking disabled a container has a namespace with nothing in it, as in none mode. */
function modeOf({ hostConfig: { NetworkMode }, config }: ContainerRecord): "host" | "none" | "bridge" {
	if (NetworkMode === "host") return "host";
	return NetworkMode === "none" || config.NetworkDisabled ? "none" : "bridge";
}

function requestsOf(context: Context, record: ContainerRecord): EndpointRequest[] {
	const networks = context.sandboxes.networks();
	return networksAsked(record).map((config) => {
		const network = findNetwork(networks, config.networkName);
		checkEndpoint(network, config);
		return endpointRequest(network.id, config);
	});
}

/** The running container whose network this one shares. */
export function sharedTarget(context: Pick<Context, "store">, record: ContainerRecord): ContainerRecord {
	let target = record;
	for (let depth = 0; depth < 100; depth++) {
		const ref = sharedWith(target.hostConfig.NetworkMode);
		if (ref === undefined) return target;
		const next = findShared(context, ref);
		if (next.id === record.id) throw new EngineError("invalid", "cannot join own network namespace");
		if (!isRunning(next.state)) {
			const why = `container ${next.name} is ${next.state.status}`;
			throw new EngineError("conflict", `cannot join network namespace of a non running container: ${why}`);
		}
		target = next;
	}
	throw new EngineError("invalid", "cannot join own network namespace");
}

function findShared(context: Pick<Context, "store">, ref: string): ContainerRecord {
	try {
		return find(context, ref);
	} catch (error) {
		if (!(error instanceof EngineError)) throw error;
		throw new EngineError(error.code, `joining network namespace of container: ${error.message}`, { cause: error });
	}
}

/** Where a container's hosts, hostname and resolv.conf are: with the container whose network it shares. */
export function networkFilesDir(context: Context, record: ContainerRecord): string {
	const shares = sharedWith(record.hostConfig.NetworkMode) !== undefined;
	return containerDir(context, shares ? sharedTarget(context, record).id : record.id);
}
