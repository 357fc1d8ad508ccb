import { existsSync, readdirSync, readFileSync } from "node:fs";
import type { Logger } from "../../shared/log.ts";
import { writeSysctl } from "../../sys/linux/netns.ts";

const CONF = "/proc/sys/net/ipv6/conf";

/** Whether the kernel of this namespace knows IPv6, and new interfaces may have it. */
export function hasIpv6(): boolean {
	return existsSync(CONF) && read("all/disable_ipv6") === "0";
}

/**
 * Of the bridge alone: it may have IPv6 whatever the host's default is, its addresses are there at once, and no container tells the host of routes. Its
 * own `forwarding` is left alone: it says nothing of what is passed on, but writing it takes every default route away that the host has learned from
 * router advertisements, on all its interfaces.
 */
export function prepareBridge6(bridge: string): void {
	const settings = {
		disable_ipv6: "0",
		accept_dad: "0",
		accept_ra: "0",
		accept_redirects: "0",
		router_solicitations: "0",
	};
	for (const [name, value] of Object.entries(settings)) writeSysctl(`net/ipv6/conf/${bridge}/${name}`, value);
}

/**
 * Makes the host pass IPv6 on, which is one switch for all interfaces. `all.forwarding` has a side effect: interfaces that learn their routes from router
 * advertisements (accept_ra 1) stop to listen, and the default route learned so is gone. Linux 6.17 has a switch without it, which is taken where it is.
 * Elsewhere those interfaces are told first to listen all the same (accept_ra 2), so that the host's own way out stays. Nothing is done where the host
 * passes IPv6 on already. Both are told in the log: they are the host's settings.
 */
export function routeIpv6(bridge: string, log: Logger): void {
	if (read("all/forwarding") === "1") return;
	if (read("all/force_forwarding") === undefined) {
		keepListening(log);
		set("all/forwarding", log);
		return;
	}
	writeSysctl(`net/ipv6/conf/${bridge}/force_forwarding`, "1");
	// `all` is written to every interface there is, `default` to those to come: a tunnel, say.
	for (const name of ["all/force_forwarding", "default/force_forwarding"]) if (read(name) !== "1") set(name, log);
}

function set(name: string, log: Logger): void {
	writeSysctl(`net/ipv6/conf/${name}`, "1");
	log.info("host sysctl set", { sysctl: `net.ipv6.conf.${name.replace("/", ".")}`, value: "1" });
}

function keepListening(log: Logger): void {
	for (const link of readdirSync(CONF)) {
		if (link === "all" || read(`${link}/accept_ra`) !== "1" || read(`${link}/forwarding`) === "1") continue;
		writeSysctl(`net/ipv6/conf/${link}/accept_ra`, "2");
		log.info("host sysctl set", { sysctl: `net.ipv6.conf.${link}.accept_ra`, value: "2" });
	}
}

/** undefined where the kernel has no such setting. */
function read(name: string): string | undefined {
	try {
		return readFileSync(`${CONF}/${name}`, "utf8").trim();
	} catch {
		return undefined;
	}
}
