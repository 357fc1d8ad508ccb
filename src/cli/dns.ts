import { UsageError } from "../shared/usage-error.ts";
import { type HostDnsOptions, installHostDns, removeHostDns } from "./host-dns/host-dns.ts";

/** The daemon's settings that the host's resolver depends on. */
interface DnsSettings {
	readonly dataRoot: string;
	readonly instance: string;
	readonly domain: string;
	readonly dns: { readonly address: string; readonly port: number };
}

/** @param settings the daemon's */
export function hostDnsOptions({ dataRoot, instance, domain, dns }: DnsSettings): HostDnsOptions {
	return { domain, instance, dns, backupPath: `${dataRoot}/resolv.conf.before` };
}

/** `dns install|uninstall [daemon flags]`: makes this machine resolve the engine's names, or takes that back. */
export async function runDns(
	argv: readonly string[],
	resolve: (argv: readonly string[]) => { readonly options: DnsSettings },
	print: (line: string) => void,
): Promise<number> {
	const [verb, ...rest] = argv;
	if (verb !== "install" && verb !== "uninstall") {
		throw new UsageError("usage: foredeck dns install|uninstall [daemon flags]");
	}
	const { domain } = resolve(rest).options;
	const settings = hostDnsOptions(resolve(rest).options);
	const change = verb === "install" ? await installHostDns(settings) : await removeHostDns(settings);
	print(change ?? `nothing to change: ${domain} is ${verb === "install" ? "resolved already" : "not resolved here"}`);
	return 0;
}
