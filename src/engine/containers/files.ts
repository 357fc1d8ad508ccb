import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { isIP } from "node:net";
import { hostname as hostHostname } from "node:os";
import { EngineError } from "../../shared/errors.ts";
import { type Context, containerDir } from "./context.ts";
import type { ContainerRecord, NetworkSettings } from "./record.ts";

const LOCALHOST = `127.0.0.1	localhost
::1	localhost ip6-localhost ip6-loopback
fe00::	ip6-localnet
ff00::	ip6-mcastprefix
ff02::1	ip6-allnodes
ff02::2	ip6-allrouters
`;

/** Writes hostname, hosts and resolv.conf for this start. */
export function writeFiles(
	context: Context,
	record: ContainerRecord,
	network: NetworkSettings,
	linked: readonly string[] = [],
): void {
	const dir = containerDir(context, record.id);
	writeText(`${dir}/hostname`, `${record.config.Hostname}\n`);
	writeText(
		`${dir}/hosts`,
		hostsFile(record, network, () => readOr("/etc/hosts", LOCALHOST), linked, hostGateways(context)),
	);
	writeText(
		`${dir}/resolv.conf`,
		resolvConf(record, () => readOr("/etc/resolv.conf", ""), isCutOff(network)),
	);
}

/** The container's own lines in /etc/hosts when it came to a network or left one while it runs; what it wrote there itself stays. */
export function writeHosts(
	context: Pick<Context, "dataRoot">,
	record: ContainerRecord,
	before: NetworkSettings | undefined,
	after: NetworkSettings,
): void {
	const path = `${containerDir(context, record.id)}/hosts`;
	const addresses = (network: NetworkSettings | undefined) =>
		(network?.endpoints ?? []).flatMap(({ ipAddress, ipv6Address }) => [ipAddress ?? [], ipv6Address ?? []].flat());
	const now = addresses(after);
	const gone = addresses(before).filter((address) => !now.includes(address));
	const lines = readOr(path, LOCALHOST)
		.split("\n")
		.filter((line) => line !== "" && !gone.some((address) => line.startsWith(`${address}\t`)));
	const added = now.filter((address) => !lines.some((line) => line.startsWith(`${address}\t`)));
	writeText(path, [...lines, ...added.map((address) => `${address}\t${ownNames(record)}`), ""].join("\n"));
}

/** Takes lines out of a container's /etc/hosts. */
export function dropHosts(context: Pick<Context, "dataRoot">, id: string, isDropped: (line: string) => boolean): void {
	const path = `${containerDir(context, id)}/hosts`;
	const lines = readOr(path, LOCALHOST).split("\n");
	if (lines.some(isDropped)) writeText(path, lines.filter((line) => !isDropped(line)).join("\n"));
}

function ownNames({ config }: ContainerRecord): string {
	return config.Domainname ? `${config.Hostname}.${config.Domainname} ${config.Hostname}` : config.Hostname;
}

/** /etc/hosts: the host's own in host mode; else localhost, the extra hosts, linked containers, the container itself. */
export function hostsFile(
	record: ContainerRecord,
	network: NetworkSettings,
	hostFile: () => string,
	linked: readonly string[] = [],
	gateways: readonly string[] = [],
): string {
	const { hostConfig } = record;
	const extra = (hostConfig.ExtraHosts ?? []).flatMap((entry) => {
		const [name, address] = parseExtraHost(entry);
		const targets = address === "host-gateway" ? hostAddresses(network, gateways) : [address];
		if (targets.length === 0) {
			throw new EngineError("invalid", "unable to derive the IP value for host-gateway");
		}
		return targets.map((target) => `${target}\t${name}\n`);
	});
	if (hostConfig.NetworkMode === "host") return [hostFile().replace(/\n?$/, "\n"), ...extra].join("");
	const full = ownNames(record);
	const addresses = network.endpoints.flatMap(({ ipAddress, ipv6Address }) =>
		[ipAddress ?? [], ipv6Address ?? []].flat(),
	);
	const own = addresses.map((address) => `${address}\t${full}\n`);
	return [LOCALHOST, ...extra, ...linked, ...own].join("");
}

/** What `host-gateway` stands for, as docker has it: the same for all containers, so that a program of the host listens at one address. But a container that has only IPv6 finds the host at its own gateway. */
function hostAddresses({ endpoints }: NetworkSettings, gateways: readonly string[]): readonly string[] {
	const own = endpoints.find(({ ipv6Gateway }) => ipv6Gateway)?.ipv6Gateway;
	const onlyIpv6 = own !== undefined && endpoints.every(({ ipAddress }) => !ipAddress);
	return onlyIpv6 && !gateways.some((one) => one.includes(":")) ? [own] : gateways;
}

/** The daemon's setting, or the host's address on the predefined network. */
function hostGateways({
	hostGateways: set,
	sandboxes,
}: Pick<Context, "hostGateways" | "sandboxes">): readonly string[] {
	if (set && set.length > 0) return set;
	const bridge = sandboxes.networks().find(({ name }) => name === "bridge");
	return bridge?.gateway ? [bridge.gateway] : [];
}

/** "name:address"; "invalid" in docker's words. The CLI takes more forms, and sends this one. */
export function parseExtraHost(entry: string): [string, string] {
	const at = entry.indexOf(":");
	const name = entry.slice(0, Math.max(at, 0));
	const address = entry.slice(at + 1);
	if (at < 1) throw new EngineError("invalid", `bad format for add-host: "${entry}"`);
	if (address !== "host-gateway" && isIP(address) === 0) {
		throw new EngineError("invalid", `invalid IP address in add-host: "${address}"`);
	}
	return [name, address];
}

/**
 * /etc/resolv.conf: the engine's resolver in a bridge, the host's file in host mode, no server in none. What the client gave wins; on a network of
 * the user's, servers are asked through the engine's resolver, so that names still work.
 */
export function resolvConf(record: ContainerRecord, hostFile: () => string, cutOff = false): string {
	const { Dns, DnsSearch, DnsOptions } = record.hostConfig;
	const NetworkMode = cutOff ? "none" : record.hostConfig.NetworkMode;
	const host = NetworkMode === "none" ? "" : hostFile();
	const of = (word: string) =>
		host
			.split("\n")
			.filter((line) => line.startsWith(`${word} `) || line.startsWith(`${word}\t`))
			.flatMap((line) => line.trim().split(/\s+/).slice(1));
	const inherited = NetworkMode === "host" ? of("nameserver") : NetworkMode === "none" ? [] : ["127.0.0.11"];
	const behindOurs = !["bridge", "host", "none"].includes(NetworkMode);
	const servers = Dns?.length && !behindOurs ? Dns : inherited;
	const search = (DnsSearch?.length ? DnsSearch : of("search")).filter((domain) => domain !== ".");
	const options = DnsOptions?.length
		? DnsOptions
		: NetworkMode === "host" || NetworkMode === "none"
			? of("options")
			: ["ndots:0"];
	return [
		...servers.map((server) => `nameserver ${server}\n`),
		...(search.length > 0 ? [`search ${search.join(" ")}\n`] : []),
		...(options.length > 0 ? [`options ${options.join(" ")}\n`] : []),
	].join("");
}

/** A namespace of its own, and no interface in it that has an address. */
function isCutOff({ sandboxPath, endpoints }: NetworkSettings): boolean {
	return (
		sandboxPath !== undefined && endpoints.length > 0 && endpoints.every((one) => !one.ipAddress && !one.ipv6Address)
	);
}

/** The name a container has without one of its own: its short id, the host's in host mode. */
export function defaultHostname(id: string, host: { NetworkMode: string }): string {
	return host.NetworkMode === "host" ? hostHostname() : id.slice(0, 12);
}

/** mkdir -p; "internal" naming the path. */
export function makeDir(path: string, mode = 0o710): void {
	guarded(path, () => mkdirSync(path, { recursive: true, mode }));
}

function writeText(path: string, text: string): void {
	guarded(path, () => writeFileSync(path, text, { mode: 0o644 }));
}

function guarded(path: string, work: () => void): void {
	try {
		work();
	} catch (cause) {
		throw diskError(cause, path);
	}
}

/** A full disk says so with its path; anything else passes as it is. */
export function diskError(error: unknown, path: string): unknown {
	const code = (error as { code?: unknown } | undefined)?.code;
	if (code !== "ENOSPC" && code !== "EDQUOT" && code !== "SQLITE_FULL") return error;
	return new EngineError("internal", `cannot write ${path}: no space left on device`, { cause: error });
}

function readOr(path: string, fallback: string): string {
	try {
		return readFileSync(path, "utf8");
	} catch {
		return fallback;
	}
}
