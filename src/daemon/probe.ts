import type { ProbeRequest, ProbeResult } from "../engine/topology/contract.ts";
import { parseIp } from "../shared/ip.ts";
import { neighbour } from "../sys/linux/arp.ts";
import { askName } from "../sys/linux/dns-probe.ts";
import { pathMtu, ping } from "../sys/linux/icmp.ts";
import { neighbour6 } from "../sys/linux/ndp.ts";
import { withNetns } from "../sys/linux/netns.ts";
import { runBounded } from "../sys/linux/self-exec.ts";
import { connectTcp, listeners } from "../sys/linux/tcp-probe.ts";

/** The longest that any one step waits for an answer, ms. */
const STEP_MS = 1500;
/** All of them, and the start of the process. */
const TOTAL_MS = 20_000;
/** 127.0.0.11, the resolver inside every sandbox. */
const SANDBOX_RESOLVER = 0x7f00000b;

/** `self`: how this program starts itself, without a command. */
export function createProber(self: readonly string[]): (request: ProbeRequest) => Promise<ProbeResult> {
	return async (request) => JSON.parse(await runBounded([...self, "network-probe", JSON.stringify(request)], TOTAL_MS));
}

/** The hidden command: does what one request says from inside its namespace, and gives what came of it as JSON. Blocking calls are all it does. */
export function runProbe(text: string): string {
	const request = JSON.parse(text) as ProbeRequest;
	const result = request.namespace ? withNetns(request.namespace, () => probe(request)) : probe(request);
	return JSON.stringify(result);
}

function probe({ name, address, family, onLink, mtu, port, listenersOnly }: ProbeRequest): ProbeResult {
	if (listenersOnly) return { listeners: listeners(port ?? 0) };
	const dns =
		name === undefined ? undefined : askName(SANDBOX_RESOLVER, name, 2 * STEP_MS, family === 6 ? "AAAA" : "A");
	const found = address ?? (dns && "addresses" in dns ? dns.addresses[0] : undefined);
	const target = found === undefined ? undefined : parseIp(found);
	if (found === undefined || target === undefined) return { ...(dns && { dns }) };
	const echo = ping(target, STEP_MS);
	const isUp = "ms" in echo;
	return {
		...(dns && { dns }),
		// The ping is what makes the kernel ask.
		...(onLink && { neighbour: typeof target === "bigint" ? neighbour6(target) : neighbour(found) }),
		ping: isUp ? { ms: echo.ms } : { error: echo.error },
		...(isUp && mtu !== undefined && { pathMtu: pathMtu(target, mtu, STEP_MS) }),
		...(port !== undefined && { tcp: connectTcp(target, port, 2 * STEP_MS) }),
	};
}
