import { readdirSync } from "node:fs";
import { join } from "node:path";
import { tableOf } from "../drivers/firewall/ruleset.ts";
import type { NetworkObserver } from "../engine/topology/contract.ts";
import { listLinkStats } from "../sys/linux/link-stats.ts";
import { RouteSocket } from "../sys/linux/netlink.ts";
import { Nftables } from "../sys/linux/nftables.ts";

/** Reads the kernel of the network namespace that it is called in. */
export function createNetworkObserver(instance: string, namespaceDirectory: string): NetworkObserver {
	return {
		links() {
			using socket = new RouteSocket();
			return listLinkStats(socket);
		},
		namespaces() {
			try {
				return readdirSync(namespaceDirectory).map((name) => join(namespaceDirectory, name));
			} catch {
				return [];
			}
		},
		forwards() {
			try {
				using nft = new Nftables();
				const elements = (name: string) => forwardsIn(nft.run(`list map ${tableOf(instance)} ${name}`));
				const relayed = (name: string) => relaysIn(nft.run(`list set ${tableOf(instance)} ${name}`));
				const six = [...forwards6(elements), ...["relayed", "relayed_at"].flatMap(relayed)];
				return new Map([
					...["published", "published_at"].flatMap(elements),
					...six.map(([key, target]): [string, string] => [`ip6 ${key}`, target]),
				]);
			} catch {
				return undefined;
			}
		},
	};
}

/** There are no such maps where no network has IPv6. */
function forwards6(elements: (name: string) => [string, string][]): [string, string][] {
	try {
		return ["published6", "published_at6"].flatMap(elements);
	} catch {
		return [];
	}
}

/** Those of a set, of ports that the relay has. */
export function relaysIn(listing: string): [string, string][] {
	const [, elements = ""] = /elements = \{([^}]*)\}/.exec(listing) ?? [];
	const keys = elements.split(",").map((element) => element.trim());
	return keys.flatMap((key): [string, string][] => (key === "" ? [] : [[key, "the relay"]]));
}

/** The elements of a map as nft prints it: `tcp . 8080 : 172.17.0.2 . 80`. */
export function forwardsIn(listing: string): [string, string][] {
	const [, elements = ""] = /elements = \{([^}]*)\}/.exec(listing) ?? [];
	return elements.split(",").flatMap((element): [string, string][] => {
		const [key = "", target = ""] = element.trim().split(" : ");
		return key && target ? [[key, target]] : [];
	});
}
