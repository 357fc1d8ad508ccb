import { readFileSync } from "node:fs";

/** What the calling thread's network namespace knows of a neighbour: `ip neigh show ADDRESS`. "failed": asked, and nobody answered. */
export function neighbour(address: string): { readonly mac: string } | { readonly error: "unknown" | "failed" } {
	return neighbourIn(readFileSync("/proc/thread-self/net/arp", "utf8"), address);
}

/** Of the text of /proc/net/arp. */
export function neighbourIn(
	table: string,
	address: string,
): { readonly mac: string } | { readonly error: "unknown" | "failed" } {
	const ATF_COM = 2;
	for (const line of table.split("\n").slice(1)) {
		const [ip, , flags = "0", mac = ""] = line.trim().split(/\s+/);
		if (ip === address) return (Number(flags) & ATF_COM) !== 0 ? { mac } : { error: "failed" };
	}
	return { error: "unknown" };
}
