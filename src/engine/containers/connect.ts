import { EngineError } from "../../shared/errors.ts";
import { findNetwork } from "../networks/find.ts";
import type { NetworkRecord } from "../sandboxes/contract.ts";
import { type Context, change, find, isRunning } from "./context.ts";
import { checkEndpoint, endpointRequest } from "./endpoints.ts";
import { writeHosts } from "./files.ts";
import { isNetworked, networksAsked, sharedWith } from "./networking.ts";
import type { ContainerRecord, EndpointConfig, NetworkSettings } from "./record.ts";

/** Contract: Containers.connect. What is asked is written first, then done, then what came of it is written: a daemon that dies in between makes up for it at its start. */
export async function connect(
	context: Context,
	ref: string,
	networkRef: string,
	asked: Omit<EndpointConfig, "networkName">,
): Promise<void> {
	const { id } = named(context, ref);
	const known = context.sandboxes.networks();
	const network = findNetwork(known, networkRef);
	await context.locks.run(id, async () => {
		const record = changeable(context, id);
		const config = { ...asked, networkName: network.name };
		refuseSharing(record);
		checkEndpoint(network, config);
		refuseToConnect(known, record, network);
		const running = isRunning(record.state);
		if (running && isOn(record, network)) {
			throw new EngineError("forbidden", `endpoint with name ${record.name} already exists in network ${network.name}`);
		}
		const before = networksAsked(record);
		const networks = [...before.filter(({ networkName }) => networkName !== network.name), config];
		if (!running) return void change(context, id, { networks, network: withoutNetwork(record, network) });
		const written = change(context, id, { networks }) ?? record;
		try {
			await attach(context, written, network, config);
		} catch (error) {
			change(context, id, { networks: before });
			throw error;
		}
	});
}

/** Contract: Containers.disconnect. */
export async function disconnect(context: Context, ref: string, networkRef: string): Promise<void> {
	const { id } = named(context, ref);
	const network = findNetwork(context.sandboxes.networks(), networkRef);
	await context.locks.run(id, async () => {
		const record = changeable(context, id);
		if (network.driver === "host" && record.hostConfig.NetworkMode === "host") {
			throw new EngineError(
				"invalid",
				"cannot disconnect container from host network - container was created in host network mode",
			);
		}
		const before = networksAsked(record);
		const networks = before.filter(({ networkName }) => networkName !== network.name);
		const asked = networks.length < before.length;
		if (!isRunning(record.state)) {
			if (!asked) throw notConnected(id, `the network ${network.name}`);
			return void change(context, id, { networks, network: withoutNetwork(record, network) });
		}
		if (!asked && !isOn(record, network)) throw notConnected(id, `network ${network.name}`);
		await detach(context, change(context, id, { networks }) ?? record, network);
	});
}

/** Brings a running container to the networks it was asked to be on when the last daemon died. */
export async function restoreNetworks(context: Context, id: string): Promise<void> {
	const record = context.store.get(id);
	if (!record || !isRunning(record.state) || !isNetworked(record.hostConfig.NetworkMode) || !record.network) return;
	const known = context.sandboxes.networks();
	const asked = networksAsked(record);
	for (const { networkName, networkId } of record.network.endpoints) {
		const network = known.find((one) => one.id === networkId);
		if (network && !asked.some((one) => one.networkName === networkName)) await detach(context, record, network);
	}
	for (const config of asked) {
		const network = known.find(({ name }) => name === config.networkName);
		if (network && !isOn(record, network)) await attach(context, record, network, config);
	}
}

async function attach(context: Context, record: ContainerRecord, network: NetworkRecord, config: EndpointConfig) {
	const settings = await context.sandboxes.attach(record.id, endpointRequest(network.id, config));
	settled(context, record, settings, network, "connect");
}

async function detach(context: Context, record: ContainerRecord, network: NetworkRecord): Promise<void> {
	const settings = await context.sandboxes.detach(record.id, network.id);
	if (settings) settled(context, record, settings, network, "disconnect");
}

function settled(
	context: Context,
	record: ContainerRecord,
	settings: NetworkSettings,
	{ id: networkId, name, driver: type }: NetworkRecord,
	action: "connect" | "disconnect",
): void {
	change(context, record.id, { network: settings });
	writeHosts(context, record, record.network, settings);
	context.events.publish("network", action, networkId, { container: record.id, name, type });
}

function named(context: Context, ref: string): ContainerRecord {
	if (ref === "") throw new EngineError("invalid", 'invalid name or ID supplied: ""');
	return find(context, ref);
}

function changeable(context: Context, id: string): ContainerRecord {
	const record = find(context, id);
	const { status } = record.state;
	if (status !== "removing" && status !== "dead") return record;
	const text = `Container ${id} is marked for removal and cannot be connected or disconnected to the network`;
	throw new EngineError("conflict", text);
}

function refuseSharing({ hostConfig: { NetworkMode: mode } }: ContainerRecord): void {
	if (mode === "host" || sharedWith(mode) !== undefined) {
		throw new EngineError(
			"invalid",
			"container sharing network namespace with another container or host cannot be connected to any other network",
		);
	}
}

/** Networks and modes that allow no other beside them. */
function refuseToConnect(
	known: readonly NetworkRecord[],
	{ hostConfig: { NetworkMode: mode } }: ContainerRecord,
	network: NetworkRecord,
): void {
	if (network.config?.configOnly) {
		throw new EngineError("forbidden", "cannot create endpoint on configuration-only network");
	}
	const isBare = known.some(({ name, driver }) => name === mode && driver === "null");
	if (network.driver === "host") {
		throw new EngineError(
			"invalid",
			"cannot connect container to host network - container must be created in host network mode",
		);
	}
	if (isBare || network.driver === "null") {
		throw new EngineError(
			"invalid",
			"container cannot be connected to multiple networks with one of the networks in private (none) mode",
		);
	}
}

function isOn(record: ContainerRecord, network: NetworkRecord): boolean {
	return record.network?.endpoints.some(({ networkId }) => networkId === network.id) ?? false;
}

function withoutNetwork({ network }: ContainerRecord, { name }: NetworkRecord): NetworkSettings | undefined {
	return network && { ...network, endpoints: network.endpoints.filter(({ networkName }) => networkName !== name) };
}

/** docker has it as an internal error. */
function notConnected(id: string, network: string): EngineError {
	return new EngineError("internal", `container ${id} is not connected to ${network}`);
}
