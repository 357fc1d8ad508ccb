import { existsSync } from "node:fs";
import { EngineError } from "../../shared/errors.ts";
import { findLink, setBridgeFilter } from "../../sys/linux/link.ts";
import { RouteSocket } from "../../sys/linux/netlink.ts";

const BR_NETFILTER = "/proc/sys/net/bridge/bridge-nf-call-iptables";

/** Lets what passes inside certain bridges come to the forward hook: a setting of the bridge, not of the host. Stays in the namespace it is constructed in. */
export class BridgeFilter {
	private readonly socket = new RouteSocket();
	private filtered: readonly string[] = [];

	/** These bridges and no others of those named before; bridges that are gone are passed over. Throws "unsupported" where the kernel cannot. */
	set(bridges: readonly string[]): void {
		if (bridges.length > 0) loadModule();
		for (const name of this.filtered.filter((one) => !bridges.includes(one))) this.switch(name, false);
		for (const name of bridges) this.switch(name, true);
		this.filtered = bridges;
	}

	private switch(name: string, on: boolean): void {
		const link = findLink(this.socket, name);
		if (link) this.socket.request(setBridgeFilter(link.index, on));
	}
}

function loadModule(): void {
	if (existsSync(BR_NETFILTER)) return;
	// modprobe br_netfilter: once per boot of the machine
	const modprobe = Bun.which("modprobe");
	if (modprobe) Bun.spawnSync([modprobe, "br_netfilter"], { stdin: "ignore", stdout: "ignore", stderr: "ignore" });
	if (existsSync(BR_NETFILTER)) return;
	throw new EngineError(
		"unsupported",
		"cannot enforce policies between containers of one network: the kernel module br_netfilter cannot be loaded",
	);
}
