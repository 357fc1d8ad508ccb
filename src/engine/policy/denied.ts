import type { DeniedPacket, Direction } from "../../drivers/firewall/policy-model.ts";

/** Flows that were denied, packets of one being one entry. */
export interface DeniedFlow {
	/** Of the sandbox whose policy it was; its address where there is none any more. */
	readonly sandbox: string;
	readonly direction: Direction;
	/** The other end: a sandbox's name, or an address, or a name that was not asked for. */
	readonly peer: string;
	/** `tcp`, `udp`, `icmp`, or its number; `dns` for a name that may not be resolved */
	readonly protocol: string;
	readonly port?: number;
	readonly policy: string;
	/** Its number, or the direction for the policy's default. */
	readonly rule: number | Direction;
	/** Packets told of; a flood is told of in part. */
	readonly count: number;
	/** ms since the epoch */
	readonly first: number;
	readonly last: number;
}

const MAX_FLOWS = 1000;
/** Followers that do not read: beyond this the oldest lines are lost to them. */
const MAX_WAITING = 1000;

/** The last flows that were denied, newest last; in memory only. */
export class DeniedFlows {
	private readonly flows = new Map<string, DeniedFlow>();
	private readonly followers = new Set<(flow: DeniedFlow) => void>();

	constructor(private readonly now: () => number = Date.now) {}

	list(): DeniedFlow[] {
		return [...this.flows.values()];
	}

	add(denied: Omit<DeniedFlow, "count" | "first" | "last">): void {
		const { sandbox, direction, peer, protocol, port, policy, rule } = denied;
		const key = JSON.stringify([sandbox, direction, peer, protocol, port, policy, rule]);
		const known = this.flows.get(key);
		const at = this.now();
		const flow = { ...denied, count: (known?.count ?? 0) + 1, first: known?.first ?? at, last: at };
		this.flows.delete(key);
		this.flows.set(key, flow);
		for (const oldest of this.flows.keys()) {
			if (this.flows.size <= MAX_FLOWS) break;
			this.flows.delete(oldest);
		}
		for (const follower of this.followers) follower(flow);
	}

	/** Those there are, then each as it comes or comes again, until the signal. */
	async *follow(signal: AbortSignal): AsyncIterable<DeniedFlow> {
		const waiting: DeniedFlow[] = this.list();
		let wake = () => {};
		const follower = (flow: DeniedFlow) => {
			waiting.push(flow);
			if (waiting.length > MAX_WAITING) waiting.shift();
			wake();
		};
		const aborted = () => wake();
		signal.addEventListener("abort", aborted, { once: true });
		this.followers.add(follower);
		try {
			while (!signal.aborted) {
				const next = waiting.shift();
				if (next) yield next;
				else {
					await new Promise<void>((resolve) => {
						wake = resolve;
					});
				}
			}
		} finally {
			this.followers.delete(follower);
			signal.removeEventListener("abort", aborted);
		}
	}
}

/** Which end of a denied packet is the sandbox's. */
export function endsOf({ direction, source, destination }: DeniedPacket): { local: string; remote: string } {
	return direction === "egress" ? { local: source, remote: destination } : { local: destination, remote: source };
}
