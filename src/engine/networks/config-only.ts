import { EngineError } from "../../shared/errors.ts";
import type { NetworkRow } from "../../store/networks.ts";
import type { NetworkRequest } from "./contract.ts";

/** Whether the row is no network, but what others are made from: `docker network create --config-only`. */
export function isConfigOnly({ config }: Pick<NetworkRow, "config">): boolean {
	return config?.configOnly === true;
}

/** A network that others are made from says nothing of where it is or who may use it; "forbidden" in docker's words. */
export function checkConfigOnly(request: NetworkRequest): void {
	const { internal, attachable, ingress, scope, configFrom } = request;
	if (internal || attachable || ingress || (scope !== "" && scope !== "local")) {
		throw forbidden(
			"configuration network can only contain network specific fields. Network operator fields like [ ingress | internal | attachable | scope ] are not supported.",
		);
	}
	if (configFrom) throw forbidden("a configuration network cannot depend on another configuration network");
}

/** The request with what the network says that it is made from; "forbidden" where it says something of that itself, "not-found" where there is none. */
export function withConfigFrom(request: NetworkRequest, rows: readonly NetworkRow[]): NetworkRequest {
	const { configFrom, ipam, labels, enableIpv4, enableIpv6, options } = request;
	if (configFrom === "") return request;
	const own = ipam.config.length + count(ipam.options) + count(labels);
	if (!enableIpv4 || enableIpv6 || own > 0 || (ipam.driver !== "" && ipam.driver !== "default")) {
		throw forbidden(
			"user specified configurations are not supported if the network depends on a configuration network",
		);
	}
	if (count(options) > 0) {
		throw forbidden("network driver options are not supported if the network depends on a configuration network");
	}
	const from = rows.find((row) => row.name === configFrom && isConfigOnly(row))?.config;
	if (!from) throw new EngineError("not-found", `configuration network ${JSON.stringify(configFrom)} does not exist`);
	return {
		...request,
		enableIpv4: from.enableIpv4 ?? true,
		enableIpv6: from.enableIpv6 ?? false,
		labels: from.labels,
		options: from.options,
		ipam: from.ipam,
	};
}

/** "forbidden" while networks are made from it. */
export function checkUnused(name: string, rows: readonly NetworkRow[]): void {
	if (!rows.some(({ config }) => config?.configFrom === name)) return;
	throw forbidden(`error while removing network: configuration network ${JSON.stringify(name)} is in use`);
}

function forbidden(text: string): EngineError {
	return new EngineError("forbidden", text);
}

function count(fields: Readonly<Record<string, string>> | null): number {
	return Object.keys(fields ?? {}).length;
}
