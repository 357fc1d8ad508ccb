import { EngineError, messageOf } from "../../shared/errors.ts";
import { parseIp } from "../../shared/ip.ts";
import type { ContainerRecord } from "../containers/record.ts";
import type { NetworkRecord } from "../sandboxes/contract.ts";
import { type CheckPlan, type End, familiesOf, planCheck, probeOf } from "./check.ts";
import type { CheckReport, CheckRequest, NetworkInsight, NetworkObserver, Prober } from "./contract.ts";
import { joinReports } from "./families.ts";
import { type Found, judge, type PolicyVerdict } from "./judge.ts";
import type { PolicyReach } from "./reach.ts";
import { statusOf } from "./status.ts";
import { isUp, namespaceOf, networkOf, sandboxOf, topologyOf } from "./view.ts";

export interface InsightOptions {
	readonly instance: string;
	readonly containers: {
		list(): readonly ContainerRecord[];
		get(id: string): ContainerRecord | undefined;
		byName(name: string): ContainerRecord | undefined;
		byPrefix(prefix: string): readonly ContainerRecord[];
	};
	readonly networks: () => readonly NetworkRecord[];
	/** Namespaces and host interfaces that the sandboxes have now, those made ahead of need too. */
	readonly owned: () => { readonly namespaces: readonly string[]; readonly links: readonly string[] };
	readonly leases: (networkId: string) => readonly { readonly containerId: string; readonly address: string }[];
	readonly probe: Prober;
	readonly observer: NetworkObserver;
	/** What the policies say of the flow; undefined: none concerns it. `to`: container's id, address or name. */
	readonly explain?: (from: string, to: string, port: number | undefined) => PolicyVerdict | undefined;
	/** What they leave of who reaches whom, as of now; undefined: there are none. */
	readonly policies?: () => PolicyReach | undefined;
}

/** Contract: NetworkInsight. */
export function createInsight(options: InsightOptions): NetworkInsight {
	return {
		topology: () => topologyOf(options.instance, options.networks(), options.containers.list(), options.policies?.()),
		check: (request) => check(options, request),
		status() {
			const networks = options.networks().map(networkOf);
			const all = options.containers.list();
			const leases = networks.flatMap(({ id, name }) =>
				options.leases(id).map((lease) => ({ ...lease, network: name })),
			);
			const sandboxes = all.filter(isUp).map((one) => sandboxOf(one, all));
			const mark = `foredeck ${options.instance}`;
			return statusOf({ mark, networks, sandboxes, leases, ...options.owned() }, options.observer);
		},
	};
}

async function check(options: InsightOptions, request: CheckRequest): Promise<CheckReport> {
	const from = endOf(options, request.from);
	const to = isOutside(options, request.to) ? { name: request.to, on: [] } : endOf(options, request.to);
	if (from.stopped || to.stopped) return judge(planCheck(request, from, to), {});
	try {
		const reports = [];
		for (const family of familiesOf(request, from, to)) {
			const plan = planCheck(request, from, to, family);
			const found = await tryOut(options, plan);
			// A name of the outside without an address of this family.
			const isThere = plan.target !== undefined || found.probe?.ping !== undefined;
			if (isThere || reports.length === 0) reports.push({ family, report: judge(plan, found) });
		}
		return joinReports(reports);
	} catch (error) {
		throw new EngineError("internal", `cannot check ${request.from} to ${request.to}: ${messageOf(error)}`, {
			cause: error,
		});
	}
}

async function tryOut(options: InsightOptions, plan: CheckPlan): Promise<Found> {
	const { from, to, request, target } = plan;
	const policy = options.explain?.(ownerOf(from) ?? "", target ?? ownerOf(to) ?? to.name, request.port);
	const found: Found = { probe: await options.probe(probeOf(plan, mtuOf(options, from))), ...(policy && { policy }) };
	const refused = found.probe?.tcp && "error" in found.probe.tcp;
	if (!refused || !to.sandbox || request.port === undefined) return found;
	const inside = { ...(to.namespace && { namespace: to.namespace }), onLink: false, port: request.port };
	const { listeners } = await options.probe({ ...inside, listenersOnly: true });
	return { ...found, ...(listeners && { listeners }) };
}

/** Policies know a sandbox by the container whose it is. */
function ownerOf({ sandbox }: End): string | undefined {
	return sandbox?.owner ?? sandbox?.id;
}

/** No container of ours: an address, or a name that has a dot in it. */
function isOutside(options: InsightOptions, ref: string): boolean {
	if (find(options, ref)) return false;
	return parseIp(ref) !== undefined || /^[a-z0-9_-]+(\.[a-z0-9_-]+)+\.?$/i.test(ref);
}

function find({ containers }: InsightOptions, ref: string): ContainerRecord | undefined {
	const exact = containers.get(ref) ?? containers.byName(ref);
	if (exact) return exact;
	const found = ref === "" ? [] : containers.byPrefix(ref);
	if (found.length > 1) throw new EngineError("invalid", `container ${ref} is ambiguous`);
	return found[0];
}

function endOf(options: InsightOptions, ref: string): End {
	const record = find(options, ref);
	if (!record) throw new EngineError("not-found", `No such container: ${ref}`);
	const all = options.containers.list();
	const sandbox = sandboxOf(record, all);
	const networks = options.networks().map(networkOf);
	const on = sandbox.networks.flatMap(({ id }) => networks.find((one) => one.id === id) ?? []);
	const namespace = namespaceOf(record, all);
	const { status } = record.state;
	return {
		name: sandbox.name,
		sandbox,
		on,
		...(!isUp(record) && { stopped: status }),
		...(namespace && { namespace }),
	};
}

/** Of the interface on the host that belongs to A's first network. */
function mtuOf({ observer }: InsightOptions, { on }: End): number {
	const bridge = on.find((network) => network.bridge !== undefined)?.bridge;
	return observer.links().find(({ name }) => name === bridge)?.mtu || 1500;
}
