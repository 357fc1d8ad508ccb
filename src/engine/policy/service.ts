import type { Firewall } from "../../drivers/firewall/driver.ts";
import type { DeniedPacket } from "../../drivers/firewall/policy-model.ts";
import { EngineError, messageOf } from "../../shared/errors.ts";
import type { Logger } from "../../shared/log.ts";
import type { PolicyStore } from "../../store/policies.ts";
import { compile } from "./compile.ts";
import type { NamePolicies, Policies, PolicyChange, PolicyStatus, SandboxPolicies } from "./contract.ts";
import { DeniedFlows, endsOf } from "./denied.ts";
import { explain } from "./explain.ts";
import { LIFETIME, type LifetimeBounds } from "./names.ts";
import { POLICY_LABEL, type Policy, type Subject, type SubjectEndpoint } from "./policy.ts";
import { type AnsweredAddress, type NameView, nameViewOf } from "./resolver-view.ts";
import { isSubject, labelled } from "./select.ts";

export interface PoliciesOptions {
	readonly instance: string;
	readonly store: PolicyStore<Policy>;
	readonly firewall: Pick<Firewall, "setPolicies" | "learn" | "learned" | "policyCounts" | "watchDenied">;
	/** Sandboxes on bridge networks. */
	readonly members: () => readonly { readonly containerId: string; readonly endpoints: readonly SubjectEndpoint[] }[];
	readonly containerOf: (id: string) => ContainerFacts | undefined;
	/** Running containers on the host's network. */
	readonly onHost: () => readonly (ContainerFacts & { readonly id: string })[];
	readonly log: Logger;
	readonly lifetime?: LifetimeBounds;
}

export interface ContainerFacts {
	readonly name: string;
	readonly labels: Readonly<Record<string, string>>;
}

/** Answers kept for explanations. */
const MAX_ANSWERED = 1024;

/** Contracts: Policies, SandboxPolicies, NamePolicies. */
export class PolicyService implements Policies, SandboxPolicies, NamePolicies {
	private readonly flows = new DeniedFlows();
	private readonly answers = new Map<string, readonly string[]>();
	/** By container id, as of the last change. */
	private views = new Map<string, NameView | undefined>();
	private watching: Disposable | undefined;

	constructor(private readonly options: PoliciesOptions) {}

	list(): readonly PolicyStatus[] {
		const [counts, subjects, onHost] = [this.options.firewall.policyCounts(), this.subjects(), this.onHost()];
		return this.options.store.list().map((policy) => ({
			policy,
			...reachOf(policy, subjects, onHost),
			counts: counts
				.filter((count) => count.policy === policy.name)
				.map(({ rule, packets, bytes }) => ({ rule, packets, bytes })),
		}));
	}

	inspect(name: string): PolicyStatus {
		const found = this.list().find(({ policy }) => policy.name === name);
		if (!found) throw new EngineError("not-found", `no such policy: ${name}`);
		return found;
	}

	apply(policies: readonly Policy[], { dryRun }: { dryRun: boolean }): readonly PolicyChange[] {
		const known = new Map(this.options.store.list().map((policy) => [policy.name, policy]));
		const [subjects, onHost] = [this.subjects(), this.onHost()];
		const changes = policies.map((policy): PolicyChange => {
			const before = known.get(policy.name);
			const same = before && JSON.stringify(before) === JSON.stringify(policy);
			const change = same ? "unchanged" : before ? "updated" : "created";
			return { name: policy.name, change, ...reachOf(policy, subjects, onHost) };
		});
		if (dryRun) return changes;
		const before = policies.flatMap(({ name }) => known.get(name) ?? []);
		const fresh = policies.map(({ name }) => name).filter((name) => !known.has(name));
		this.change(policies, [], () => this.options.store.change(before, fresh));
		for (const { name, change, sandboxes } of changes) {
			if (change !== "unchanged")
				this.options.log.info("policy applied", { policy: name, change, sandboxes: sandboxes.length });
		}
		return changes;
	}

	remove(name: string): void {
		const { policy } = this.inspect(name);
		const users = this.subjects().filter((subject) => labelled(subject).includes(name));
		if (users.length > 0) {
			const names = users.map((one) => one.name).join(", ");
			throw new EngineError("conflict", `cannot remove policy ${name}: named by the label ${POLICY_LABEL} of ${names}`);
		}
		this.change([], [name], () => this.options.store.change([policy]));
		this.options.log.info("policy removed", { policy: name });
	}

	explain(from: string, to: string) {
		const known = {
			policies: this.options.store.list(),
			subjects: this.subjects(),
			learned: this.options.firewall.learned(),
			answeredFor: (id: string, name: string) => this.answers.get(`${id} ${name}`) ?? [],
		};
		return explain(known, from, to);
	}

	denied() {
		return this.flows.list();
	}

	followDenied(signal: AbortSignal) {
		return this.flows.follow(signal);
	}

	model() {
		this.views = new Map();
		this.watch();
		return compile(this.options.store.list(), this.isActive() ? this.subjects() : []);
	}

	changed(): void {
		if (!this.isActive()) return;
		this.options.firewall.setPolicies(this.model());
	}

	check(containerId: string): void {
		const container = this.options.containerOf(containerId);
		const known = this.options.store.list().map(({ name }) => name);
		const missing = container && labelled(container).find((name) => !known.includes(name));
		if (missing === undefined) return;
		const there = known.length > 0 ? `there are ${known.join(", ")}` : "there are none";
		throw new EngineError(
			"invalid",
			`label ${POLICY_LABEL} names policy ${JSON.stringify(missing)}, which does not exist: ${there}`,
		);
	}

	refuses(containerId: string, name: string): boolean {
		const refusal = this.viewOf(containerId)?.refusal(name);
		if (!refusal) return false;
		if (name.endsWith(".arpa")) return true;
		const sandbox = this.options.containerOf(containerId)?.name ?? containerId;
		this.flows.add({ sandbox, direction: "egress", peer: name, protocol: "dns", port: 53, ...refusal });
		return true;
	}

	wants(containerId: string, name: string): boolean {
		const view = this.viewOf(containerId);
		return view !== undefined && view.learnedOf(name, [ANY], LIFETIME).length > 0;
	}

	answered(containerId: string, name: string, addresses: readonly AnsweredAddress[]): void {
		const view = this.viewOf(containerId);
		if (!view || addresses.length === 0) return;
		const learned = view.learnedOf(name, addresses, this.options.lifetime ?? LIFETIME);
		this.options.firewall.learn(learned);
		const key = `${containerId} ${name}`;
		this.answers.delete(key);
		this.answers.set(
			key,
			addresses.map(({ address }) => address),
		);
		for (const oldest of this.answers.keys()) {
			if (this.answers.size <= MAX_ANSWERED) break;
			this.answers.delete(oldest);
		}
	}

	close(): void {
		this.watching?.[Symbol.dispose]();
		this.watching = undefined;
	}

	/** Kept before it is done, so that a crash in between leaves it to the next start; taken back when it cannot be done. */
	private change(put: readonly Policy[], remove: readonly string[], undo: () => void): void {
		this.options.store.change(put, remove);
		try {
			this.options.firewall.setPolicies(this.model());
		} catch (error) {
			undo();
			this.views = new Map();
			throw error;
		}
	}

	private isActive(): boolean {
		return this.options.store.size > 0;
	}

	private subjects(): Subject[] {
		return this.options.members().flatMap(({ containerId: id, endpoints }) => {
			const container = this.options.containerOf(id);
			return container ? [{ id, name: container.name, labels: container.labels, endpoints }] : [];
		});
	}

	private onHost(): Subject[] {
		return this.options.onHost().map((one) => ({ ...one, endpoints: [] }));
	}

	private viewOf(containerId: string): NameView | undefined {
		if (!this.isActive()) return undefined;
		if (!this.views.has(containerId)) {
			const subject = this.subjects().find(({ id }) => id === containerId);
			if (!subject) return undefined;
			this.views.set(containerId, nameViewOf(this.options.store.list(), subject));
		}
		return this.views.get(containerId);
	}

	/** From the first policy on. Without the log, policies hold all the same. */
	private watch(): void {
		if (!this.isActive()) this.close();
		if (!this.isActive() || this.watching) return;
		try {
			this.watching = this.options.firewall.watchDenied(this.options.instance, (packet) => this.deny(packet));
		} catch (error) {
			this.options.log.warn("denied flows cannot be logged", { error: messageOf(error) });
			this.watching = { [Symbol.dispose]() {} };
		}
	}

	private deny(packet: DeniedPacket): void {
		const { policy, rule, direction, protocol, port } = packet;
		const { local, remote } = endsOf(packet);
		const subjects = this.subjects();
		const nameOf = (address: string) =>
			subjects.find(({ endpoints }) => endpoints.some((one) => one.address === address))?.name ?? address;
		const flow = { policy, rule, direction, protocol, sandbox: nameOf(local), peer: nameOf(remote) };
		this.flows.add({ ...flow, ...(port !== undefined && { port }) });
	}
}

const ANY: AnsweredAddress = { address: "", ttl: 0 };

function reachOf(policy: Policy, subjects: readonly Subject[], onHost: readonly Subject[]) {
	const names = (list: readonly Subject[]) => list.filter((one) => isSubject(policy, one)).map(({ name }) => name);
	return { sandboxes: names(subjects), unenforced: names(onHost) };
}
