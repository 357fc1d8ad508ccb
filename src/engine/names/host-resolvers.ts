import { readFileSync, statSync } from "node:fs";
import { isIP } from "node:net";

/** What the host's resolv.conf says. */
export interface ResolverConfig {
	readonly nameservers: readonly { readonly address: string; readonly port: number }[];
	readonly search: readonly string[];
	readonly options: readonly string[];
}

/** The comment before a nameserver line that an instance of ours put into resolv.conf: it is not an upstream, for any instance. */
export const RESOLV_CONF_MARKER = "# foredeck";

/** A later `search` or `domain` replaces an earlier one, options add up (resolv.conf(5)). Skips our own lines, `own`, docker's 127.0.0.11, and scoped or wrong addresses. */
export function parseResolvConf(text: string, own: readonly string[] = []): ResolverConfig {
	const nameservers: { address: string; port: number }[] = [];
	const options: string[] = [];
	let search: string[] = [];
	let ours = false;
	for (const line of text.split("\n")) {
		const [keyword, ...values] = line
			.replace(/[#;].*$/, "")
			.trim()
			.split(/\s+/);
		if (keyword === "nameserver" && values[0] && !ours && isUpstream(values[0], own))
			nameservers.push({ address: values[0], port: 53 });
		if (keyword === "search" || keyword === "domain") search = values.filter((value) => value !== ".");
		if (keyword === "options") options.push(...values);
		ours = line.startsWith(RESOLV_CONF_MARKER);
	}
	return { nameservers, search, options };
}

/**
 * The host's resolvers, re-read when the file changes (looked at once a second at most). A missing or unreadable file is one without servers.
 * We ask from the host's own namespace, so systemd-resolved's stub at 127.0.0.53 serves as it is.
 */
export function createHostResolvers(path: string, own: readonly string[]): () => ResolverConfig {
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
			if (seen !== stamp) config = parseResolvConf(readFileSync(path, "utf8"), own);
			stamp = seen;
		} catch {
			config = parseResolvConf("");
			stamp = "";
		}
		return config;
	};
}

function isUpstream(address: string, own: readonly string[]): boolean {
	return isIP(address) !== 0 && address !== "127.0.0.11" && !own.includes(address);
}
