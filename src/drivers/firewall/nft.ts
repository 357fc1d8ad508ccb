import type { Logger } from "../../shared/log.ts";
import { Nftables } from "../../sys/linux/nftables.ts";
import type { Firewall } from "./driver.ts";
import {
	type PortForward,
	type RulesetModel,
	renderPublish,
	renderRemoval,
	renderRuleset,
	renderUnpublish,
} from "./ruleset.ts";

/** nftables by libnftables. Made in the host's namespace, where its table stays. */
export class NftFirewall implements Firewall {
	private readonly nft = new Nftables();
	private readonly ports = new Set<PortForward>();
	private model: RulesetModel | undefined;
	private pending: { add: PortForward[]; drop: PortForward[]; done: PromiseWithResolvers<void> } | undefined;

	constructor(private readonly log: Logger) {}

	apply(model: RulesetModel): void {
		this.nft.run(renderRuleset(model));
		this.model = model;
		this.ports.clear();
		for (const port of model.ports) this.ports.add(port);
	}

	publish(ports: readonly PortForward[]): Promise<void> {
		return this.change(ports, []);
	}

	unpublish(ports: readonly PortForward[]): Promise<void> {
		return this.change([], ports);
	}

	remove(): void {
		if (!this.model) return;
		// nft destroy table inet foredeck-fd
		this.nft.run(renderRemoval(this.model.instance));
		this.model = undefined;
	}

	private change(add: readonly PortForward[], drop: readonly PortForward[]): Promise<void> {
		if (add.length + drop.length === 0) return Promise.resolve();
		if (!this.pending) {
			this.pending = { add: [], drop: [], done: Promise.withResolvers() };
			setImmediate(() => this.flush());
		}
		this.pending.add.push(...add);
		this.pending.drop.push(...drop);
		return this.pending.done.promise;
	}

	/** Elements go before others come: a port may change hands within one batch. */
	private flush(): void {
		const { pending, model } = this;
		this.pending = undefined;
		if (!pending) return;
		if (!model) {
			pending.done.reject(new Error("cannot change the firewall: no ruleset applied"));
			return;
		}
		const dropped = pending.drop.filter((port) => this.forget(port));
		for (const port of pending.add) this.ports.add(port);
		try {
			this.nft.run(renderUnpublish(model.instance, dropped) + renderPublish(model.instance, pending.add));
			pending.done.resolve();
		} catch (error) {
			this.rewrite(model, error, pending.done);
		}
	}

	/** The table is not as we left it (a reload of the host's firewall flushes all): write it whole. */
	private rewrite(model: RulesetModel, cause: unknown, done: PromiseWithResolvers<void>): void {
		try {
			this.nft.run(renderRuleset({ ...model, ports: [...this.ports] }));
			this.log.warn("firewall table was changed by others, written whole again", { cause });
			done.resolve();
		} catch (error) {
			done.reject(error);
		}
	}

	/** By value: after a restart the port is another object. */
	private forget(port: PortForward): boolean {
		for (const known of this.ports) {
			if (
				known.protocol === port.protocol &&
				known.hostAddress === port.hostAddress &&
				known.hostPort === port.hostPort
			) {
				return this.ports.delete(known);
			}
		}
		return false;
	}
}
