import { EngineError, messageOf } from "../../shared/errors.ts";
import { parseIpv4 } from "../../shared/ip.ts";
import type { ContainerRecord } from "../containers/record.ts";
import type { NetworkRecord } from "../sandboxes/contract.ts";
import { type End, planCheck, probeOf } from "./check.ts";
import type { CheckReport, CheckRequest, NetworkInsight, NetworkObserver, Prober } from "./contract.ts";
import { type Found, judge, type PolicyVerdict } from "./judge.ts";
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
	/** What the policies say of the flow; undefined: none concerns it. `to`: container's id or address. */
	readonly explain?: (from: string, to: string, port: number | undefined) => PolicyVerdict | undefined;
}

/** Contract: NetworkInsight. */
export function createInsight(options: InsightOptions): NetworkInsight {
	return {
		topology: () => topologyOf(options.instance, options.networks(), options.containers.list()),
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
	const plan = planCheck(request, from, to);
	if (from.stopped || to.stopped) return judge(plan, {});
	const policy = options.explain?.(from.sandbox?.id ?? "", to.sandbox?.id ?? to.name, request.port);
	const mtu = mtuOf(options, from);
	try {
		const found: Found = { probe: await options.probe(probeOf(plan, mtu)), ...(policy && { policy }) };
		const refused = found.probe?.tcp && "error" in found.probe.tcp;
		if (!refused || !to.sandbox || request.port === undefined) return judge(plan, found);
		const inside = { ...(to.namespace && { namespace: to.namespace }), onLink: false, port: request.port };
		const { listeners } = await options.probe({ ...inside, listenersOnly: true });
		return judge(plan, { ...found, ...(listeners && { listeners }) });
	} catch (error) {
		throw new EngineError("internal", `cannot check ${request.from} to ${request.to}: ${messageOf(error)}`, {
			cause: error,
		});
	}
}

/** No container of ours: an address, or a name that has a dot in it. */
function isOutside(options: InsightOptions, ref: string): boolean {
	if (find(options, ref)) return false;
	return parseIpv4(ref) !== undefined || /^[a-z0-9_-]+(\.[a-z0-9_-]+)+\.?$/i.test(ref);
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
