import { lookup } from "node:dns/promises";
import { readdir, readFile } from "node:fs/promises";
import { BlockList, isIP } from "node:net";
import { join } from "node:path";
import tls from "node:tls";
import { EngineError } from "../../shared/errors.ts";

/** TLS settings of one host. */
export interface TlsSettings {
	readonly ca?: string[];
	readonly cert?: string;
	readonly key?: string;
	readonly rejectUnauthorized: boolean;
}

/** Which hosts may be reached without TLS or with any certificate, decided from names and addresses alone. */
export interface InsecureHosts {
	/** By the name as it is written. */
	isInsecure(domain: string): boolean;
	/** The same, and a name is also insecure when one of its addresses is (as dockerd decides). */
	resolvesInsecure(domain: string): Promise<boolean>;
}

/** `entries`: `host[:port]` or CIDR; loopback is always in. Throws "invalid" for a CIDR that is none. */
export function createInsecureHosts(entries: readonly string[]): InsecureHosts {
	const names = new Set<string>();
	const networks = new BlockList();
	networks.addSubnet("127.0.0.0", 8, "ipv4");
	networks.addAddress("::1", "ipv6");
	for (const entry of entries) {
		if (entry.includes("/")) addNetwork(networks, entry);
		else names.add(entry.toLowerCase());
	}
	const addressIn = (address: string) => {
		const family = isIP(address);
		return family !== 0 && networks.check(address, family === 6 ? "ipv6" : "ipv4");
	};
	const isInsecure = (domain: string) => {
		const host = hostOf(domain);
		return names.has(domain.toLowerCase()) || host === "localhost" || addressIn(host);
	};
	return {
		isInsecure,
		async resolvesInsecure(domain) {
			// docker.io is never looked up: who answers for its name must not be able to switch TLS off
			if (isInsecure(domain)) return true;
			if (domain === "docker.io" || isIP(hostOf(domain)) !== 0) return false;
			const addresses = await lookup(hostOf(domain), { all: true }).catch(() => []);
			return addresses.some(({ address }) => addressIn(address));
		},
	};
}

/** The host of `host[:port]`, without the brackets of an IPv6 address. */
export function hostOf(domain: string): string {
	const bracketed = /^\[([^\]]+)\](?::\d+)?$/.exec(domain);
	return (bracketed?.[1] ?? domain.replace(/:\d+$/, "")).toLowerCase();
}

/**
 * TLS settings of a secure host from `DIRECTORY/HOST:PORT/`: `*.crt` are CAs trusted beside the system's, `NAME.cert` with `NAME.key` is the
 * client certificate. Throws "internal" in dockerd's words when one of the pair is missing.
 */
export async function readTlsSettings(directory: string, domain: string): Promise<TlsSettings> {
	const folder = join(directory, domain);
	const names = (await readdir(folder).catch(() => [])).sort();
	for (const name of names) requirePair(names, name);
	const read = (name: string) => readFile(join(folder, name), "utf8");
	const own = await Promise.all(names.filter((name) => name.endsWith(".crt")).map(read));
	const cert = names.find((name) => name.endsWith(".cert"));
	if (cert === undefined) return { ca: [...systemAuthorities(), ...own], rejectUnauthorized: true };
	return {
		ca: [...systemAuthorities(), ...own],
		cert: await read(cert),
		key: await read(cert.replace(/\.cert$/, ".key")),
		rejectUnauthorized: true,
	};
}

function requirePair(names: readonly string[], name: string): void {
	const key = name.replace(/\.cert$/, ".key");
	if (name.endsWith(".cert") && !names.includes(key)) {
		throw new EngineError(
			"internal",
			`missing key ${key} for client certificate ${name}. CA certificates must use the extension .crt`,
		);
	}
	const cert = name.replace(/\.key$/, ".cert");
	if (name.endsWith(".key") && !names.includes(cert)) {
		throw new EngineError("internal", `missing client certificate ${cert} for key ${name}`);
	}
}

/** The machine's own list, as Go's programs use it; the built-in one where the machine has none. */
function systemAuthorities(): readonly string[] {
	const system = tls.getCACertificates("system");
	return system.length > 0 ? system : tls.rootCertificates;
}

function addNetwork(networks: BlockList, entry: string): void {
	const [address = "", length = ""] = entry.split("/");
	const family = isIP(address);
	const bits = Number(length);
	if (family === 0 || !/^\d+$/.test(length) || bits > (family === 6 ? 128 : 32)) {
		throw new EngineError("invalid", `invalid insecure registry ${entry}: allowed is HOST[:PORT] or a CIDR`);
	}
	networks.addSubnet(address, bits, family === 6 ? "ipv6" : "ipv4");
}
