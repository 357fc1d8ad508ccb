import type { Firewall } from "../../drivers/firewall/driver.ts";
import type { DeniedPacket } from "../../drivers/firewall/policy-model.ts";
import { EngineError, messageOf } from "../../shared/errors.ts";
import type { Logger } from "../../shared/log.ts";
import type { PolicyStore } from "../../store/policies.ts";
import { compile } from "./compile.ts";
import type { NamePolicies, Policies, PolicyChange, PolicyStatus, SandboxPlace, SandboxPolicies } from "./contract.ts";
import { DeniedFlows, endsOf } from "./denied.ts";
import { explain } from "./explain.ts";
import { type Candidate, type Hole, holesOf, refuseHoles } from "./held.ts";
import { LIFETIME, type LifetimeBounds } from "./names.ts";
import { POLICY_LABEL, type Policy, type Subject } from "./policy.ts";
import { reachOf } from "./reach.ts";
import { type AnsweredAddress, type NameView, nameViewOf } from "./resolver-view.ts";
import { RunningFlows } from "./running-flows.ts";
import { labelled, policiesOf } from "./select.ts";
import { addressesOn } from "./ways.ts";

export interface PoliciesOptions {
	readonly instance: string;
	readonly store: PolicyStore<Policy>;
	readonly firewall: Pick<
		Firewall,
		"preparePolicies" | "setPolicies" | "learn" | "learned" | "policyCounts" | "watchDenied" | "endFlows"
	>;
	/** Sandboxes that have networks. */
	readonly members: () => readonly SandboxMember[];
	readonly containerOf: (id: string) => ContainerFacts | undefined;
	/** Running containers without a network of their own: `owner`: the container whose network it shares; undefined: it is on the host's. */
	readonly guests: () => readonly (ContainerFacts & { readonly id: string; readonly owner?: string })[];
	readonly log: Logger;
	readonly lifetime?: LifetimeBounds;
}

export interface ContainerFacts {
	readonly name: string;
	readonly labels: Readonly<Record<string, string>>;
}

type SandboxMember = { readonly containerId: string } & Pick<Subject, "endpoints" | "elsewhere">;

/** Answers kept for explanations. */
const MAX_ANSWERED = 1024;
/** How long after a change of sandboxes running flows are looked at, ms: the kernel takes tens of ms for it. */
const SETTLE_MS = 50;

/** Contracts: Policies, SandboxPolicies, NamePolicies. */
export class PolicyService implements Policies, SandboxPolicies, NamePolicies {
	private readonly flows = new DeniedFlows();
	private readonly answers = new Map<string, readonly string[]>();
	/** By container id, as of the last change. */
	private views = new Map<string, NameView | undefined>();
	private watching: Disposable | undefined;
	private readonly running: RunningFlows;
	private hasBegun = false;
	private settling: ReturnType<typeof setTimeout> | undefined;
	/** As of the last look, by container id. */
	private known = new Map<string, { readonly text: string; readonly subject: Subject }>();
	/** Holes that the log knows. */
	private told = new Set<string>();

	constructor(private readonly options: PoliciesOptions) {
		this.running = new RunningFlows(
			options,
			() => this.subjects(),
			() => this.settling !== undefined,
		);
	}

	list(): readonly PolicyStatus[] {
		const [counts, subjects] = [this.options.firewall.policyCounts(), this.subjects()];
		const policies = this.options.store.list();
		const scopeOf = scopesOf(policies, subjects, this.holes(policies));
		const countsOf = Map.groupBy(counts, ({ policy }) => policy);
		return policies.map((policy) => ({
			policy,
			...scopeOf(policy),
			counts: (countsOf.get(policy.name) ?? []).map(({ rule, packets, bytes }) => ({ rule, packets, bytes })),
		}));
	}

	inspect(name: string): PolicyStatus {
		const found = this.list().find(({ policy }) => policy.name === name);
		if (!found) throw noSuch(name);
		return found;
	}

	async prepare(policies: readonly Policy[]): Promise<void> {
		refuseHoles("cannot apply", this.holes(policies));
		await this.options.firewall.preparePolicies(compile(this.options.store.ahead(policies), this.subjects()));
	}

	apply(policies: readonly Policy[], { dryRun }: { dryRun: boolean }): readonly PolicyChange[] {
		const known = new Map(this.options.store.list().map((policy) => [policy.name, policy]));
		const holes = this.holes(policies);
		const scopeOf = scopesOf(policies, this.subjects(), holes);
		const changes = policies.map((policy): PolicyChange => {
			const before = known.get(policy.name);
			const same = before && JSON.stringify(before) === JSON.stringify(policy);
			const change = same ? "unchanged" : before ? "updated" : "created";
			return { name: policy.name, change, ...scopeOf(policy) };
		});
		if (dryRun) return changes;
		refuseHoles("cannot apply", holes);
		const before = policies.flatMap(({ name }) => known.get(name) ?? []);
		const fresh = policies.map(({ name }) => name).filter((name) => !known.has(name));
		const names = policies.map(({ name }) => name);
		this.change(policies, [], () => this.options.store.change(before, fresh), names);
		for (const { name, change, sandboxes } of changes) {
			if (change !== "unchanged")
				this.options.log.info("policy applied", { policy: name, change, sandboxes: sandboxes.length });
		}
		return changes;
	}

	remove(name: string): void {
		const policy = this.options.store.list().find((one) => one.name === name);
		if (!policy) throw noSuch(name);
		const users = this.subjects().filter((subject) => labelled(subject).includes(name));
		if (users.length > 0) {
			const names = users.map((one) => one.name).join(", ");
			throw new EngineError("conflict", `cannot remove policy ${name}: named by the label ${POLICY_LABEL} of ${names}`);
		}
		this.change([], [name], () => this.options.store.change([policy]), []);
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

	/** What policies leave of who reaches whom, as of now: see `reachOf`. undefined: there are none. */
	reach(host: string, internet: string) {
		const policies = this.options.store.list();
		if (policies.length === 0) return undefined;
		const known = { policies, subjects: this.subjects(), learned: [], answeredFor: () => [] };
		return (from: string, to: string) => reachOf(known, from, to, { host, internet });
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
		if (!this.hasBegun) {
			this.hasBegun = true;
			// An earlier daemon has seen to the flows there are, if it came to that; where policies do not hold is told anew.
			this.running.begin();
			this.settleSoon();
		}
		return compile(this.options.store.list(), this.isActive() ? this.subjects() : []);
	}

	changed(): void {
		if (!this.isActive()) return;
		this.options.store.unsettle();
		this.options.firewall.setPolicies(this.model());
		this.settleSoon();
	}

	settled(): Promise<void> {
		return this.running.settled();
	}

	private settleSoon(): void {
		this.settling ??= setTimeout(() => this.settle(), SETTLE_MS).unref();
	}

	/** After sandboxes have come and gone: once for all that did. */
	private settle(): void {
		this.settling = undefined;
		const warn = (error: unknown) => this.options.log.warn("running flows not looked at", { error: messageOf(error) });
		try {
			this.running.endDenied([]).catch(warn);
			this.tellHoles();
		} catch (error) {
			warn(error);
		}
	}

	check(containerId: string, place: SandboxPlace): void {
		const container = this.options.containerOf(containerId);
		if (!container) return;
		this.checkLabel(container);
		const owner = place.owner === undefined ? undefined : this.candidate(place.owner);
		const { elsewhere = [], endpoints = [] } = place;
		const candidate: Candidate = { id: containerId, ...container, endpoints, elsewhere, ...(owner && { owner }) };
		refuseHoles(`cannot put container ${container.name} there`, holesOf(this.options.store.list(), candidate));
	}

	private checkLabel(container: ContainerFacts): void {
		const known = this.options.store.list().map(({ name }) => name);
		const missing = labelled(container).find((name) => !known.includes(name));
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
		return this.viewOf(containerId)?.has(name) ?? false;
	}

	answered(containerId: string, name: string, addresses: readonly AnsweredAddress[]): void {
		const view = this.viewOf(containerId);
		if (!view || addresses.length === 0) return;
		const learned = view.learnedOf(name, addresses, this.options.lifetime ?? LIFETIME);
		this.options.firewall.learn(learned);
		for (const { set, local, remote } of learned) this.running.remember(set, local, remote);
		const key = `${containerId} ${name}`;
		this.answers.delete(key);
		this.answers.set(
			key,
			addresses.map(({ address }) => address),
		);
		shorten(this.answers, MAX_ANSWERED);
	}

	close(): void {
		clearTimeout(this.settling);
		this.settling = undefined;
		this.watching?.[Symbol.dispose]();
		this.watching = undefined;
	}

	/** Kept before it is done, so that a crash in between leaves it to the next start; taken back when it cannot be done. */
	private change(put: readonly Policy[], remove: readonly string[], undo: () => void, named: readonly string[]): void {
		this.options.store.change(put, remove);
		try {
			this.options.firewall.setPolicies(this.model());
		} catch (error) {
			undo();
			this.views = new Map();
			throw error;
		}
		// Whoever waits for it hears of trouble: see settled().
		this.running.endDenied(named).catch(() => {});
	}

	/** Those that came by a rename. */
	private tellHoles(): void {
		const holes = this.holes(this.options.store.list());
		for (const { policy, container, why } of holes) {
			if (!this.told.has(`${policy} ${container}`)) {
				this.options.log.warn("policy not enforced", { policy, container, why });
			}
		}
		this.told = new Set(holes.map(({ policy, container }) => `${policy} ${container}`));
	}

	private isActive(): boolean {
		return this.options.store.size > 0;
	}

	/** One that is as it was is the same object: what is known of it need not be found out again. */
	private subjects(): Subject[] {
		const before = this.known;
		this.known = new Map();
		return this.options.members().flatMap(({ containerId: id, endpoints, elsewhere = [] }) => {
			const container = this.options.containerOf(id);
			if (!container) return [];
			const { name, labels } = container;
			const text = JSON.stringify([name, labels, endpoints, elsewhere]);
			const same = before.get(id);
			const one = same?.text === text ? same : { text, subject: { id, name, labels, endpoints, elsewhere } };
			this.known.set(id, one);
			return [one.subject];
		});
	}

	/** Running containers, and where they are. */
	private candidates(): Candidate[] {
		const subjects: Candidate[] = this.subjects();
		const guests = this.options.guests();
		const onHost = guests.filter(({ owner }) => owner === undefined).map(asOnHost);
		const hosts = [...subjects, ...onHost];
		const sharing = guests.flatMap(({ owner: id, ...one }) => {
			const owner = hosts.find((other) => other.id === id);
			return id !== undefined && owner ? [{ ...one, endpoints: [], owner }] : [];
		});
		return [...hosts, ...sharing];
	}

	private candidate(id: string): Candidate | undefined {
		return this.candidates().find((one) => one.id === id);
	}

	private holes(policies: readonly Policy[]): Hole[] {
		return policies.length === 0 ? [] : this.candidates().flatMap((one) => holesOf(policies, one));
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
		const nameOf = (address: string) => subjects.find((one) => addressesOn(one).includes(address))?.name ?? address;
		const flow = { policy, rule, direction, protocol, sandbox: nameOf(local), peer: nameOf(remote) };
		this.flows.add({ ...flow, ...(port !== undefined && { port }) });
	}
}

/** Whom each of these policies is about. */
function scopesOf(policies: readonly Policy[], subjects: readonly Subject[], holes: readonly Hole[]) {
	const about = Map.groupBy(
		subjects.flatMap((one) => policiesOf(policies, one).map(({ name: policy }) => ({ policy, name: one.name }))),
		({ policy }) => policy,
	);
	const beyond = Map.groupBy(holes, ({ policy }) => policy);
	return ({ name }: Policy) => {
		const unenforced = (beyond.get(name) ?? []).map(({ container, why }) => ({ container, why }));
		const loose = new Set(unenforced.map(({ container }) => container));
		const sandboxes = (about.get(name) ?? []).map((one) => one.name).filter((one) => !loose.has(one));
		return { sandboxes, unenforced };
	};
}

function noSuch(name: string): EngineError {
	return new EngineError("not-found", `no such policy: ${name}`);
}

function asOnHost(guest: ContainerFacts & { readonly id: string }): Candidate {
	return { ...guest, endpoints: [], elsewhere: [{ network: "host", driver: "host", addresses: [] }] };
}

/** Forgets the oldest beyond a number. */
function shorten(map: Map<string, unknown>, most: number): void {
	for (const oldest of map.keys()) {
		if (map.size <= most) return;
		map.delete(oldest);
	}
}
