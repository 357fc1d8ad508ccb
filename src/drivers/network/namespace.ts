import { readdirSync } from "node:fs";
import { join } from "node:path";
import { EngineError, messageOf } from "../../shared/errors.ts";
import { setUp } from "../../sys/linux/link.ts";
import { RouteSocket } from "../../sys/linux/netlink.ts";
import { createNetns, isNetns, removeNetns, withNetns, writeSysctl } from "../../sys/linux/netns.ts";
import { Nftables } from "../../sys/linux/nftables.ts";
import type { NamespaceDriver } from "./driver.ts";
import { CLEAR_REDIRECT, CLEAR_TRANSLATION, resolverRedirect, resolverTranslation } from "./resolver-redirect.ts";

/** lo is the first interface of every namespace. */
const LOOPBACK_INDEX = 1;

export function createNamespaceDriver(): NamespaceDriver {
	return {
		create(path, loopback = true) {
			createNetns(path, () => {
				using socket = new RouteSocket();
				if (loopback) socket.request(setUp(LOOPBACK_INDEX));
				// As docker: a process without capabilities may take port 80 and ping, in a network of its own.
				writeSysctl("net.ipv4.ip_unprivileged_port_start", "0");
				writeSysctl("net.ipv4.ping_group_range", "0 2147483647");
			});
		},
		remove: removeNetns,
		exists: isNetns,
		list(directory) {
			try {
				return readdirSync(directory).map((name) => join(directory, name));
			} catch {
				return [];
			}
		},
		setSysctls(path, sysctls) {
			if (Object.keys(sysctls).length === 0) return;
			withNetns(path, () => {
				for (const [name, value] of Object.entries(sysctls)) setSysctl(name, value);
			});
		},
		redirectResolver(path, ports, again) {
			withNetns(path, () => {
				using nft = new Nftables();
				try {
					nft.run((again ? CLEAR_REDIRECT : "") + resolverRedirect(ports));
				} catch {
					nft.run((again ? CLEAR_TRANSLATION : "") + resolverTranslation(ports));
				}
			});
		},
	};
}

function setSysctl(name: string, value: string): void {
	if (!/^net[./]/.test(name))
		throw new EngineError("invalid", `cannot set sysctl ${name}: only net.* belong to a network`);
	try {
		writeSysctl(name, value);
	} catch (error) {
		throw new EngineError("invalid", `cannot set sysctl ${name}=${value}: ${messageOf(error)}`, { cause: error });
	}
}
