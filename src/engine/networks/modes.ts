import { type Cidr, formatCidr, overlaps, parseCidr } from "../../shared/cidr.ts";
import { EngineError } from "../../shared/errors.ts";
import { createId } from "../../shared/id.ts";
import { formatIpv4 } from "../../shared/ip.ts";
import type { Logger } from "../../shared/log.ts";
import { nowNano } from "../../shared/time.ts";
import type { NetworkConfig, NetworkRow, NetworkStore } from "../../store/networks.ts";

/**
 * How much network a sandbox has, as networks that docker's `--network` takes:
 *
 * - disabled: no interface that works. Linux gives every namespace `lo`; it stays down, so not even 127.0.0.1 answers.
 * - loopback: lo alone.
 * - outbound: out to the internet behind the host's address, with DNS. Nothing gets in, the host included; no other container, no address of the
 *   host and none of the LAN (see mode-rules.ts) is reached. IPv6 is closed, whatever addresses a container gives itself: what is LAN in it, where
 *   machines have addresses of the internet, no address tells.
 * - full: out to everywhere, reached from the host and from its peers on the network, ports can be published. It is of IPv4.
 *
 * `docker network create --ipv6 -o foredeck.mode=full NAME` makes one that is full in both families,
 * `docker network create -o foredeck.mode=outbound -o foredeck.allow=192.168.1.0/24,10.1.2.3 NAME` makes another outbound network, with holes into the LAN.
 */
export type SandboxMode = NonNullable<NetworkConfig["mode"]>;

export const SANDBOX_MODES: readonly SandboxMode[] = ["disabled", "loopback", "outbound", "full"];

const MODE_OPTION = "foredeck.mode";
const ALLOW_OPTION = "foredeck.allow";

/** 192.168.65.0/24 first, then the next ones that are free. */
const POOLS: readonly Cidr[] = Array.from({ length: 191 }, (_, i) => ({
	base: 0xc0a80000 + (65 + i) * 256,
	prefixLength: 24,
}));

/** The modes' rows, made on the first start. A network of the user's that has one of the names stays what it is, and the mode is not there. */
export function openModes(
	store: NetworkStore,
	instance: string,
	usedNetworks: (exceptLink: string, exceptNetwork: string) => readonly Cidr[],
	log: Logger,
): NetworkRow[] {
	return SANDBOX_MODES.flatMap((mode) => {
		const known = store.network(mode);
		if (known && known.config?.mode !== mode) {
			log.info("sandbox mode not available: a network of the user's has its name", { mode });
			return [];
		}
		if (mode === "disabled" || mode === "loopback") return known ?? put(store, rowOf(mode, "null"));
		return openBridgeMode(store, mode, known, bridgeOf(instance, mode), usedNetworks, log);
	});
}

/** Keeps its subnet, unless the host has come to use it and no container holds an address. */
function openBridgeMode(
	store: NetworkStore,
	mode: SandboxMode,
	known: NetworkRow | undefined,
	bridge: string,
	usedNetworks: (exceptLink: string, exceptNetwork: string) => readonly Cidr[],
	log: Logger,
): NetworkRow[] {
	const own = known?.subnet ? parseCidr(known.subnet) : undefined;
	const others = usedNetworks(bridge, mode);
	const clash = own && others.find((other) => overlaps(own, other));
	if (known && !clash) return [known];
	if (known && store.leases(known.id).length > 0) {
		log.warn("subnet of a sandbox mode overlaps a network of the host", { mode, subnet: known.subnet });
		return [known];
	}
	const subnet = POOLS.find((pool) => !others.some((other) => overlaps(pool, other)));
	if (!subnet) {
		log.warn("sandbox mode not available: no free subnet", { mode });
		return known ? [known] : [];
	}
	return [
		put(store, { ...rowOf(mode, "bridge", subnet), bridge, ...(known && { id: known.id, created: known.created }) }),
	];
}

function put(store: NetworkStore, row: NetworkRow): NetworkRow {
	store.putNetwork(row);
	return row;
}

function rowOf(mode: SandboxMode, driver: NetworkRow["driver"], subnet?: Cidr): NetworkRow {
	const pool = subnet && { Subnet: formatCidr(subnet), Gateway: formatIpv4(subnet.base + 1) };
	const config: NetworkConfig = {
		internal: false,
		attachable: false,
		mode,
		subnetAsked: false,
		labels: {},
		options: { [MODE_OPTION]: mode },
		ipam: { driver: "default", options: null, config: pool ? [pool] : [] },
	};
	return { id: createId(), name: mode, driver, created: nowNano(), subnet: pool?.Subnet ?? null, bridge: null, config };
}

/** `fd-outbound`; the instance is cut where Linux takes no longer name, which the alias on the interface makes safe. */
function bridgeOf(instance: string, mode: SandboxMode): string {
	const ending = mode === "outbound" ? "-out" : `-${mode}`;
	return `${instance.slice(0, 15 - ending.length)}${ending}`;
}

/** What the options say of an outbound network; "invalid" naming the one that cannot be read. */
export function outboundOptions(options: Readonly<Record<string, string>>): {
	readonly outbound: boolean;
	readonly allowed: readonly string[];
} {
	const mode = options[MODE_OPTION];
	if (mode !== undefined && mode !== "outbound" && mode !== "full") {
		throw new EngineError("invalid", `invalid option ${MODE_OPTION}=${mode}: a bridge network is outbound or full`);
	}
	const allowed = (options[ALLOW_OPTION] ?? "").split(",").flatMap((text) => {
		const entry = text.trim();
		if (entry === "") return [];
		const cidr = parseCidr(entry.includes("/") ? entry : `${entry}/32`);
		if (!cidr) throw new EngineError("invalid", `invalid option ${ALLOW_OPTION}: ${entry} is no IPv4 network`);
		return [cidr];
	});
	if (allowed.length > 0 && mode !== "outbound") {
		throw new EngineError("invalid", `invalid option ${ALLOW_OPTION}: it needs ${MODE_OPTION}=outbound`);
	}
	// The kernel takes no network within another into one set.
	const widest = allowed.filter((one, at) => !allowed.some((other, i) => i !== at && covers(other, one, i < at)));
	return { outbound: mode === "outbound", allowed: widest.map(formatCidr) };
}

/** Whether the other network holds all of this one; of equal ones the earlier does. */
function covers(other: Cidr, one: Cidr, earlier: boolean): boolean {
	if (!overlaps(other, one)) return false;
	return other.prefixLength < one.prefixLength || (other.prefixLength === one.prefixLength && earlier);
}
