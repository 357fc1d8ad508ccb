import { readFileSync } from "node:fs";
import { messageOf } from "../../shared/errors.ts";
import type { Logger } from "../../shared/log.ts";
import { writeSysctl } from "../../sys/linux/netns.ts";
import type { EndpointSpec } from "./driver.ts";

/** Sysctls by their path below /proc/sys; `read` gives undefined where there is none. */
export interface Sysctls {
	read(path: string): string | undefined;
	write(path: string, value: string): void;
}

type Family = "ipv4" | "ipv6";

/** The smallest size that is asked for, of which every kernel has as much. */
const LEAST = 1024;
/** A quarter of a million neighbours are 100 MB of the kernel's memory, once they are there. */
const MOST = 1 << 18;

const KERNEL: Sysctls = {
	read(path) {
		try {
			return readFileSync(`/proc/sys/${path}`, "utf8").trim();
		} catch {
			return undefined;
		}
	},
	write: writeSysctl,
};

/**
 * The kernel's tables of neighbours (ARP, NDP) are shared by all network namespaces and hold 1024 entries: no more than 32 containers can all talk to each
 * other, whoever comes later reaches nobody. Made larger as networks grow, and never smaller. In a namespace that is not the first, the engine cannot.
 */
export class NeighbourTables {
	private readonly members: Readonly<Record<Family, Map<string, number>>> = { ipv4: new Map(), ipv6: new Map() };

	constructor(
		private readonly log: Logger,
		private readonly sysctls: Sysctls = KERNEL,
	) {}

	/** To be told of each endpoint, before its members speak. */
	expect({ bridge, addresses, members = 0 }: Pick<EndpointSpec, "bridge" | "addresses" | "members">): void {
		for (const { address } of addresses) {
			const family = typeof address === "bigint" ? "ipv6" : "ipv4";
			const known = this.members[family];
			if (members <= (known.get(bridge) ?? 0)) continue;
			known.set(bridge, members);
			this.ensure(family, tableSize(known.values()));
		}
	}

	private ensure(family: Family, size: number): void {
		const path = (level: 2 | 3) => `net/${family}/neigh/default/gc_thresh${level}`;
		const [now, often] = [this.sysctls.read(path(3)), this.sysctls.read(path(2))];
		if (now === undefined || often === undefined || Number(now) >= size) return;
		try {
			// Above the third none is added, above the second those unused are looked for each time.
			this.sysctls.write(path(3), String(size));
			if (Number(often) < size / 2) this.sysctls.write(path(2), String(size / 2));
			this.log.info("host sysctl set", { sysctl: path(3).replaceAll("/", "."), value: String(size) });
		} catch (error) {
			this.log.warn("neighbour table not enlarged", { family, size, error: messageOf(error) });
		}
	}
}

/** Twice what they need when on each network every member knows every other one, and the host knows all: a power of two. */
export function tableSize(members: Iterable<number>): number {
	let needed = 0;
	for (const count of members) needed += count * count;
	return Math.min(MOST, Math.max(LEAST, 2 ** Math.ceil(Math.log2(2 * needed))));
}
