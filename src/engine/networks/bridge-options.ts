import { isIP } from "node:net";
import { EngineError } from "../../shared/errors.ts";
import { outboundOptions } from "./modes.ts";

/** What the options of a bridge network mean. */
export interface BridgeSettings {
	/** Interface name, where the client chose one. */
	readonly name?: string;
	readonly icc: boolean;
	readonly masquerade: boolean;
	/** Host address for published ports that name none; "" is every address. */
	readonly hostBinding: string;
	/** The host has no IPv4 address on the bridge: another machine on it, reached through an interface that the user adds, is the gateway. */
	readonly inhibitIpv4: boolean;
	/** bytes */
	readonly mtu?: number;
	readonly gatewayMode: GatewayMode;
	/** The same of IPv6. */
	readonly gatewayMode6: GatewayMode;
	readonly masquerade6: boolean;
	readonly hostBinding6: string;
	/** Only outwards, and not into the LAN: see modes.ts. */
	readonly outbound: boolean;
	/** Of the LAN, what an outbound network may reach all the same: 192.168.1.10/32 */
	readonly allowed: readonly string[];
	/** Packets of more than 64 KB between members. It halves what leaves by an interface of the host's: off, but where nothing leaves. */
	readonly bigTcp: boolean;
	/** Interfaces in a container are called PREFIX0, PREFIX1... */
	readonly linkPrefix: string;
}

export type GatewayMode = "nat" | "nat-unprotected" | "routed" | "isolated";

const MODES: readonly GatewayMode[] = ["nat", "nat-unprotected", "routed", "isolated"];
const BRIDGE = "com.docker.network.bridge";
export const BIG_TCP = "foredeck.big_tcp";
const MTU = "com.docker.network.driver.mtu";
/** Longest interface name that Linux takes. */
const MAX_NAME = 15;

/** Reads docker's options, unknown ones being the user's own; "invalid" in docker's words. */
export function bridgeSettings(options: Readonly<Record<string, string>>, internal: boolean): BridgeSettings {
	const bool = (name: string) => boolOf(name, options[name]);
	const mode = modeOf("gateway_mode_ipv4", options);
	const mode6 = modeOf("gateway_mode_ipv6", options);
	if ([mode, mode6].includes("isolated") && !internal) {
		throw new EngineError("internal", "gateway mode 'isolated' can only be used for an internal network");
	}
	const masquerade = bool(`${BRIDGE}.enable_ip_masquerade`) ?? true;
	const outbound = outboundOptions(options);
	const trusted = options[`${BRIDGE}.trusted_host_interfaces`];
	if (trusted) throw unsupported(`${BRIDGE}.trusted_host_interfaces`, trusted);
	return {
		...nameOf(options[`${BRIDGE}.name`]),
		icc: (bool(`${BRIDGE}.enable_icc`) ?? true) && !outbound.outbound,
		masquerade: mode.startsWith("nat") && masquerade,
		masquerade6: mode6.startsWith("nat") && masquerade,
		hostBinding: bindingOf("host_binding_ipv4", options, 4),
		hostBinding6: bindingOf("host_binding_ipv6", options, 6),
		inhibitIpv4: bool(`${BRIDGE}.inhibit_ipv4`) ?? false,
		...mtuOf(options[MTU]),
		gatewayMode: mode,
		gatewayMode6: mode6,
		...outbound,
		bigTcp: bool(BIG_TCP) ?? internal,
		linkPrefix: prefixOf(options["com.docker.network.container_iface_prefix"]),
	};
}

/** Whether the network shall have IPv6, by the client's word or by its driver option. */
export function wantsIpv6(asked: boolean, options: Readonly<Record<string, string>>): boolean {
	const option = "com.docker.network.enable_ipv6";
	return boolOf(option, options[option]) ?? asked;
}

export function unsupported(field: string, value: unknown): EngineError {
	return new EngineError("unsupported", `${field} is not supported yet: ${String(value)}`);
}

function failed(name: string, value: string, why: string): EngineError {
	return new EngineError("invalid", `failed to parse ${name} value: ${value} (${why})`);
}

/** Go's ParseBool. */
function boolOf(name: string, value: string | undefined): boolean | undefined {
	if (value === undefined) return undefined;
	if (/^(1|t|T|TRUE|true|True)$/.test(value)) return true;
	if (/^(0|f|F|FALSE|false|False)$/.test(value)) return false;
	throw failed(name, value, `strconv.ParseBool: parsing ${JSON.stringify(value)}: invalid syntax`);
}

function modeOf(name: string, options: Readonly<Record<string, string>>): GatewayMode {
	const value = options[`${BRIDGE}.${name}`];
	if (!value) return "nat";
	const mode = MODES.find((one) => one === value);
	if (!mode) throw failed(`${BRIDGE}.${name}`, value, `unknown gateway mode ${value}`);
	return mode;
}

function nameOf(value: string | undefined): { name?: string } {
	if (!value) return {};
	if (!isLinkName(value)) {
		throw new EngineError(
			"invalid",
			`invalid bridge name ${JSON.stringify(value)}: must be an interface name of at most ${MAX_NAME} bytes`,
		);
	}
	return { name: value };
}

function prefixOf(value: string | undefined): string {
	if (!value) return "eth";
	if (!isLinkName(`${value}00`)) throw new EngineError("invalid", `invalid interface prefix ${JSON.stringify(value)}`);
	return value;
}

/** Of what Linux takes for an interface's name, what means itself in a ruleset, a path and a line of text: no quote, no star, no slash. */
export function isLinkName(name: string): boolean {
	return name.length <= MAX_NAME && /^\w[\w.@+=~-]*$/.test(name) && !["lo", "all", "default"].includes(name);
}

function bindingOf(name: string, options: Readonly<Record<string, string>>, family: 4 | 6): string {
	const value = options[`${BRIDGE}.${name}`];
	if (value === undefined) return "";
	if (isIP(value) !== family) throw failed(`${BRIDGE}.${name}`, value, "nil ip");
	return value === "0.0.0.0" || value === "::" ? "" : value;
}

function mtuOf(value: string | undefined): { mtu?: number } {
	if (value === undefined) return {};
	if (!/^[+-]?\d{1,9}$/.test(value))
		throw failed(MTU, value, `strconv.Atoi: parsing ${JSON.stringify(value)}: invalid syntax`);
	const mtu = Number(value);
	if (mtu === 0) return {};
	// 68: the least that IPv4 allows; 65535: the most that a bridge takes.
	if (mtu < 68 || mtu > 65535) throw new EngineError("invalid", `invalid MTU number: ${value}`);
	return { mtu };
}
