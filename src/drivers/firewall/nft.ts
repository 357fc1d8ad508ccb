import { messageOf } from "../../shared/errors.ts";
import type { Logger } from "../../shared/log.ts";
import { ConntrackSocket, type Flow } from "../../sys/linux/conntrack.ts";
import { Nftables } from "../../sys/linux/nftables.ts";
import { CounterSocket } from "../../sys/linux/nftables-counters.ts";
import { TableWatch } from "../../sys/linux/nftables-watch.ts";
import { BridgeFilter } from "./bridge-filter.ts";
import { BridgeGuard } from "./bridge-guard.ts";
import { renderBridgeRemoval } from "./bridge-table.ts";
import { openDeniedLog } from "./denied-log.ts";
import type { Firewall } from "./driver.ts";
import { endFlows } from "./end-flows.ts";
import { type FlowEnds, type LearnedName, NO_POLICIES, type PolicyModel, type RuleCount } from "./policy-model.ts";
import { PolicyTables } from "./policy-tables.ts";
import {
	type GuardedEnd,
	isAnyAddress,
	type NetworkRules,
	type PortForward,
	type RulesetModel,
	renderPublish,
	renderRemoval,
	renderRuleset,
	renderUnpublish,
	tableNameOf,
	tableOf,
} from "./ruleset.ts";
import { renderNetworkChange, type TableParts, tableParts } from "./ruleset-change.ts";

/** How long others must have left the table alone before it is put back, ms: a reload of the host's firewall is several transactions. */
const SETTLE_MS = 100;
const RETRY_MS = 1000;
/** How long addresses stay guarded whose owners have gone, ms: they go together, and not while others start. */
const LINGER_MS = 250;

/** nftables by libnftables. Constructed and used in the host's namespace, where its table stays. */
export class NftFirewall implements Firewall {
	private readonly nft = new Nftables();
	private readonly flows = new ConntrackSocket();
	private readonly endings = new ConntrackSocket();
	private readonly counters = new CounterSocket();
	private readonly bridgeFilter = new BridgeFilter();
	private readonly ports = new Set<PortForward>();
	private model: RulesetModel | undefined;
	/** Drawn from `model`. */
	private parts: TableParts | undefined;
	private policies: PolicyTables | undefined;
	private readonly bridges = new BridgeGuard();
	private hasBridges = true;
	private lingering: ReturnType<typeof setTimeout> | undefined;
	private sweeping: ReturnType<typeof setImmediate> | undefined;
	private watch: TableWatch | undefined;
	private restoring: ReturnType<typeof setTimeout> | undefined;
	private pending: { add: PortForward[]; drop: PortForward[]; done: PromiseWithResolvers<void> } | undefined;

	constructor(
		private readonly log: Logger,
		private readonly settleMs = SETTLE_MS,
	) {}

	apply(model: RulesetModel, policies: PolicyModel = NO_POLICIES): void {
		this.watch ??= new TableWatch(tableNameOf(model.instance), () => this.restoreIn(this.settleMs));
		this.policies ??= this.openPolicies(model.instance);
		this.writeFirst(model, policies);
		this.model = model;
		this.parts = undefined;
		this.ports.clear();
		for (const port of model.ports) this.ports.add(port);
		this.forgetFlows(model.ports, []);
	}

	setNetworks(networks: readonly NetworkRules[]): void {
		if (!this.model) throw new Error("cannot change the firewall: no ruleset applied");
		const model = { ...this.model, networks };
		// A bridge that was made again has forgotten it.
		this.bridgeFilter.set(this.policies?.current.bridges ?? []);
		this.bridges.setNetworks(networks);
		const [before, after] = [this.parts ?? tableParts(this.model), tableParts(model)];
		const text = renderNetworkChange(model.instance, before, after);
		if (text === undefined || !this.isChanged(text + this.bridgeChange())) {
			this.policies?.readCounters();
			this.writeWhole({ ...model, ports: [...this.ports] });
		}
		this.model = model;
		this.parts = after;
	}

	guard(ends: readonly GuardedEnd[]): void {
		this.bridges.add(ends);
		if (this.model && this.hasBridges && !this.isChanged(this.bridges.additions())) this.restore(this.model);
	}

	unguard(ends: readonly GuardedEnd[]): void {
		this.bridges.drop(ends);
		this.lingering ??= setTimeout(() => this.sweepGuarded(), LINGER_MS).unref();
	}

	setPolicies(policies: PolicyModel): void {
		const { model, policies: tables } = this;
		if (!model || !tables) throw new Error("cannot change the policies: no ruleset applied");
		const text = tables.change(policies);
		if (text === undefined) {
			if (policies.policies.length > 0) tables.readCounters();
			this.writeWhole({ ...model, ports: [...this.ports] }, policies);
			return;
		}
		this.bridgeFilter.set(policies.bridges);
		this.bridges.setPolicies(policies);
		const isFirst = tables.current.policies.length === 0 && policies.policies.length > 0;
		try {
			this.change(text + (isFirst ? this.bridges.whole(model.instance) : this.bridgeChange()));
			if (isFirst) this.bridges.stands();
			tables.stands(policies);
			this.sweepPoliciesSoon();
		} catch {
			// The tables are not as we left them, and the watch has not told yet.
			this.writeWhole({ ...model, ports: [...this.ports] }, policies);
		}
	}

	async preparePolicies(policies: PolicyModel): Promise<void> {
		const { policies: tables } = this;
		try {
			for (let text = tables?.prepare(policies); text !== undefined; text = tables?.prepare(policies)) {
				this.change(text);
				tables?.stands(tables.current);
				await new Promise(setImmediate);
				if (!this.model) return;
			}
		} catch (error) {
			// The tables are not as we left them: setPolicies sees to it.
			this.log.debug("policies not prepared", { error: messageOf(error) });
		}
	}

	learn(names: readonly LearnedName[]): void {
		const text = this.policies?.learn(names) ?? "";
		try {
			this.change(text);
		} catch {
			// Learned is learned: the whole table has it.
			if (this.model) this.restore(this.model);
		}
	}

	learned(): readonly LearnedName[] {
		return this.policies?.names() ?? [];
	}

	policyCounts(): readonly RuleCount[] {
		return this.policies?.counts() ?? [];
	}

	watchDenied = openDeniedLog;

	endFlows(addresses: ReadonlySet<string>, isDenied: (flow: FlowEnds) => boolean): Promise<number> {
		return endFlows(this.endings, addresses, isDenied);
	}

	publish(ports: readonly PortForward[]): Promise<void> {
		return this.enqueue(ports, []);
	}

	unpublish(ports: readonly PortForward[]): Promise<void> {
		return this.enqueue([], ports);
	}

	remove(): void {
		if (!this.model) return;
		// nft destroy table inet foredeck-fd
		const { instance } = this.model;
		this.change(renderRemoval(instance) + (this.hasBridges ? renderBridgeRemoval(instance) : ""));
		this.model = undefined;
		this.close();
	}

	close(): void {
		clearTimeout(this.restoring);
		clearTimeout(this.lingering);
		clearImmediate(this.sweeping);
		this.watch?.[Symbol.dispose]();
		this.watch = undefined;
	}

	private openPolicies(instance: string): PolicyTables {
		const tables = new PolicyTables(instance, {
			listing: () => this.listing(tableOf(instance)),
			counters: () => this.counters.counters(tableNameOf(instance)),
		});
		tables.takeOver();
		return tables;
	}

	private listing(table: string): string {
		try {
			return this.nft.run(`list table ${table}`);
		} catch {
			return "";
		}
	}

	/** A kernel without rules for bridges has networks all the same, but no policies. */
	private writeFirst(model: RulesetModel, policies: PolicyModel): void {
		try {
			this.writeWhole(model, policies);
		} catch (error) {
			if (!this.hasBridges || policies.policies.length > 0) throw error;
			this.hasBridges = false;
			this.writeWhole(model, policies);
			this.log.warn("containers can take the addresses of others: the kernel has no nftables for bridges", {
				error: messageOf(error),
			});
		}
	}

	/** All parts, in one transaction. */
	private writeWhole(model: RulesetModel, policies: PolicyModel = this.policies?.current ?? NO_POLICIES): void {
		this.bridgeFilter.set(policies.bridges);
		this.bridges.setNetworks(model.networks);
		this.bridges.setPolicies(policies);
		const guarded = this.hasBridges || policies.policies.length > 0 ? this.bridges.whole(model.instance) : "";
		this.change(renderRuleset(model) + (this.policies?.whole(policies) ?? "") + guarded);
		this.bridges.stands();
		this.policies?.stands(policies);
	}

	private bridgeChange(): string {
		return this.hasBridges ? this.bridges.change() : "";
	}

	/** What was guarded for those that have gone. */
	private sweepGuarded(): void {
		this.lingering = undefined;
		if (!this.model) return;
		if (!this.isChanged(this.bridgeChange())) this.restoreIn(0);
	}

	/** What policies do not need any more, a slice in each turn of the event loop. */
	private sweepPoliciesSoon(): void {
		this.sweeping ??= setImmediate(() => {
			this.sweeping = undefined;
			const text = this.model && this.policies?.sweep();
			if (text === undefined || !this.isChanged(text)) return;
			this.policies?.stands(this.policies.current);
			this.sweepPoliciesSoon();
		});
	}

	/** One transaction of ours, or none. */
	private change(text: string): void {
		if (text === "") return;
		if (this.watch) this.watch.own(() => this.nft.run(text));
		else this.nft.run(text);
	}

	/** Whether it took effect: not in tables that are other than we left them, of which the watch has not told yet. */
	private isChanged(text: string): boolean {
		try {
			this.change(text);
			return true;
		} catch {
			return false;
		}
	}

	private enqueue(add: readonly PortForward[], drop: readonly PortForward[]): Promise<void> {
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
			this.change(renderUnpublish(model.instance, dropped) + renderPublish(model.instance, pending.add));
			this.forgetFlows(pending.add, dropped);
			pending.done.resolve();
		} catch {
			this.rewrite(model, pending.done);
		}
	}

	/** The table is not as we left it, and the watch has not told yet: write it whole. */
	private rewrite(model: RulesetModel, done: PromiseWithResolvers<void>): void {
		try {
			this.restore(model);
			done.resolve();
		} catch (error) {
			done.reject(error);
		}
	}

	private restoreIn(ms: number): void {
		clearTimeout(this.restoring);
		this.restoring = setTimeout(() => {
			try {
				if (this.model) this.restore(this.model);
			} catch (error) {
				this.log.error("cannot put the firewall table back", { error: messageOf(error) });
				this.restoreIn(RETRY_MS);
			}
		}, ms);
		this.restoring.unref();
	}

	private restore(model: RulesetModel): void {
		clearTimeout(this.restoring);
		const ports = [...this.ports];
		this.writeWhole({ ...model, ports });
		this.forgetFlows(ports, []);
		this.log.warn("firewall table was changed by others, written whole again", { ports: ports.length });
	}

	/**
	 * NAT is decided by a flow's first packet, and a UDP client that keeps sending keeps its flow: those that began before a port was published, or
	 * lead to the container that had it before, would never come to the new one.
	 */
	private forgetFlows(added: readonly PortForward[], dropped: readonly PortForward[]): void {
		const isUdp = ({ protocol, direct, relayed }: PortForward) => protocol === "udp" && !direct && !relayed;
		try {
			for (const port of dropped.filter(isUdp))
				this.flows.forgetUdp(port.hostPort, (flow) => leadsTo(flow, port), familyOf(port));
			for (const port of added.filter(isUdp))
				this.flows.forgetUdp(port.hostPort, (flow) => missed(flow, port), familyOf(port));
		} catch (error) {
			this.log.warn("old UDP flows not forgotten", { error: messageOf(error) });
		}
	}

	/** By value: after a restart the port is another object. */
	private forget(port: PortForward): boolean {
		for (const known of this.ports) {
			if (isSame(known, port)) return this.ports.delete(known);
		}
		return false;
	}
}

/** By what the table knows them: a host's port, or a container's own. */
function isSame(a: PortForward, b: PortForward): boolean {
	if (a.protocol !== b.protocol || a.direct !== b.direct || a.relayed !== b.relayed) return false;
	if (a.direct) return a.address === b.address && a.port === b.port;
	return a.hostAddress === b.hostAddress && a.hostPort === b.hostPort;
}

function familyOf({ address }: PortForward): 4 | 6 {
	return typeof address === "bigint" ? 6 : 4;
}

function leadsTo(flow: Flow, port: PortForward): boolean {
	return flow.replySource === port.address && flow.replySourcePort === port.port;
}

/** A flow to the published address that another answers. What merely leaves the host behind its address is none of ours. */
function missed(flow: Flow, port: PortForward): boolean {
	if (!isAnyAddress(port.hostAddress) && flow.destination !== port.hostAddress) return false;
	const redirected = flow.replySource !== flow.destination;
	const masqueraded = flow.replyDestination !== flow.source;
	return !leadsTo(flow, port) && (redirected || !masqueraded);
}
