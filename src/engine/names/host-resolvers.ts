import { readFileSync, statSync } from "node:fs";
import { isIP } from "node:net";

/** What the host's resolv.conf says. */
export interface ResolverConfig {
	readonly nameservers: readonly ServerAddress[];
	readonly search: readonly string[];
	readonly options: readonly string[];
}

export interface ServerAddress {
	readonly address: string;
	readonly port: number;
}

export interface HostResolversOptions {
	/** /etc/resolv.conf */
	readonly path: string;
	/** Where our own server listens: never an upstream. */
	readonly own: ServerAddress;
	/**
	 * Asked for by the host-side server: where `path` names systemd-resolved's stub, take the servers behind it from this file
	 * (/run/systemd/resolve/resolv.conf) without those on loopback. The stub asks us for names that are not ours too, so asking it back is a loop.
	 */
	readonly behindStub?: string;
}

/** The comment before a nameserver line that an instance of ours put into resolv.conf: it is not an upstream, for any instance. */
export const RESOLV_CONF_MARKER = "# foredeck";

const RESOLVED_STUB = "127.0.0.53";

/** A later `search` or `domain` replaces an earlier one, options add up (resolv.conf(5)). Skips our own lines and what is no address. */
export function parseResolvConf(text: string): ResolverConfig {
	const nameservers: ServerAddress[] = [];
	const options: string[] = [];
	let search: string[] = [];
	let ours = false;
	for (const line of text.split("\n")) {
		const [keyword, ...values] = line
			.replace(/[#;].*$/, "")
			.trim()
			.split(/\s+/);
		const [address] = values;
		if (keyword === "nameserver" && address && !ours && isIP(address) !== 0) nameservers.push({ address, port: 53 });
		if (keyword === "search" || keyword === "domain") search = values.filter((value) => value !== ".");
		if (keyword === "options") options.push(...values);
		ours = line.startsWith(RESOLV_CONF_MARKER);
	}
	return { nameservers, search, options };
}

/** The host's resolvers, re-read when a file changes (looked at once a second at most). A missing or unreadable file is one without servers. */
export function createHostResolvers(options: HostResolversOptions): () => ResolverConfig {
	const main = watchFile(options.path);
	const behind = options.behindStub === undefined ? undefined : watchFile(options.behindStub);
	return () => {
		const config = main();
		const stubbed = behind !== undefined && config.nameservers.some(({ address }) => address === RESOLVED_STUB);
		const nameservers = stubbed
			? behind().nameservers.filter(({ address }) => !isLoopback(address))
			: config.nameservers;
		return { ...config, nameservers: nameservers.filter((server) => !isOurs(server, options.own)) };
	};
}

function watchFile(path: string): () => ResolverConfig {
	let config = parseResolvConf("");
	let stamp = "";
	let lookedAt = Number.NEGATIVE_INFINITY;
	return () => {
		const now = performance.now();
		if (now - lookedAt < 1000) return config;
		lookedAt = now;
		try {
			const { mtimeMs, size, ino } = statSync(path);
			const seen = `${ino}:${size}:${mtimeMs}`;
			if (seen !== stamp) config = parseResolvConf(readFileSync(path, "utf8"));
			stamp = seen;
		} catch {
			config = parseResolvConf("");
			stamp = "";
		}
		return config;
	};
}

const isLoopback = (address: string): boolean => address.startsWith("127.") || address === "::1";

/** 127.0.0.11 is a container engine's address inside a container: on a host it can only be a leftover. */
function isOurs(server: ServerAddress, own: ServerAddress): boolean {
	if (server.address === "127.0.0.11") return true;
	if (server.port !== own.port) return false;
	return server.address === own.address || (own.address === "0.0.0.0" && isLoopback(server.address));
}
