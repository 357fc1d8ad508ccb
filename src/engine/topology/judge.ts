import type { CheckPlan, End } from "./check.ts";
import type { CheckReport, CheckStep, ProbeResult } from "./contract.ts";

/** What the policies say of a flow. */
export interface PolicyVerdict {
	readonly decision: "allow" | "deny";
	/** The rule that decides, for people. */
	readonly text: string;
}

export interface Found {
	/** undefined: nothing could be tried. */
	readonly probe?: ProbeResult;
	readonly policy?: PolicyVerdict;
	/** Addresses on which B listens at the port; undefined where it has not been looked up. */
	readonly listeners?: readonly string[];
}

/** The report: every step with what it found, and the first cause as the verdict. What the real test shows decides, not what the records promise. */
export function judge(plan: CheckPlan, found: Found): CheckReport {
	const { request, from, to } = plan;
	const { probe = {} } = found;
	const reached = request.port === undefined ? "ms" in (probe.ping ?? {}) : "ms" in (probe.tcp ?? {});
	const steps = [
		runningStep(from, to),
		networkStep(plan, reached),
		...(found.policy ? [policyStep(found.policy, reached)] : []),
		...nameStep(plan, probe),
		...neighbourStep(plan, probe),
		...pingStep(plan, probe),
		...mtuStep(probe),
		...tcpStep(plan, found),
	];
	const failed = steps.find(({ status }) => status === "fail");
	const ok = reached && !failed;
	const report = { from: from.name, to: to.name, ...(request.port !== undefined && { port: request.port }), ok, steps };
	return {
		...report,
		verdict: ok ? success(plan, probe) : (failed?.detail ?? `${from.name} does not reach ${to.name}`),
	};
}

function step(name: CheckStep["name"], status: CheckStep["status"], detail: string): CheckStep {
	return { name, status, detail };
}

function runningStep(from: End, to: End): CheckStep {
	const stopped = [from, to].filter((end) => end.stopped);
	if (stopped.length === 0) return step("running", "ok", to.sandbox ? "both containers run" : `${from.name} runs`);
	return step("running", "fail", stopped.map((end) => `${end.name} is not running: ${end.stopped}`).join("; "));
}

function networkStep({ from, to, common }: CheckPlan, reached: boolean): CheckStep {
	const bad = reached ? "note" : "fail";
	const [bare] = from.on;
	if (bare?.kind === "none")
		return step("network", bad, `${from.name} is on network ${bare.name}, which has no way out`);
	if (to.sandbox === undefined) {
		const out = from.on.find(({ kind, internal }) => kind === "host" || (kind === "bridge" && !internal));
		if (!out) return step("network", bad, `no route: ${from.name} is on internal networks only (${names(from)})`);
		return step(
			"network",
			"ok",
			out.outbound ? `${out.name} leads to the internet, not into the LAN` : `${out.name} leads out`,
		);
	}
	if (common?.outbound) {
		return step("network", bad, `network ${common.name} lets its sandboxes out, and not to each other`);
	}
	if (common && !common.icc) {
		return step("network", bad, `network ${common.name} has enable_icc=false: its containers do not reach each other`);
	}
	if (common) return step("network", "ok", `both are on ${common.name} (${subnetsText(common)})`);
	if ([from, to].some(({ on }) => on.some(({ kind }) => kind === "host")))
		return step("network", "ok", "one is in the host's network");
	const other = to.on.find(({ kind, outbound }) => kind === "bridge" && !outbound);
	const advice = other ? `; docker network connect ${other.name} ${from.name} would join them` : "";
	return step(
		"network",
		bad,
		`no common network: ${from.name} is on ${names(from)}, ${to.name} on ${names(to)}${advice}`,
	);
}

function subnetsText({ subnet, subnet6 }: CheckPlan["from"]["on"][number]): string {
	return [subnet, subnet6].filter(Boolean).join(", ");
}

function names({ on }: End): string {
	return on.length === 0 ? "none" : on.map(({ name }) => name).join(", ");
}

function policyStep({ decision, text }: PolicyVerdict, reached: boolean): CheckStep {
	return step("policy", decision === "allow" ? "ok" : reached ? "note" : "fail", text);
}

function nameStep({ name, target, common, to }: CheckPlan, { dns }: ProbeResult): CheckStep[] {
	if (!name || !dns) return [];
	// Across networks a name is not expected to be known.
	const bad = to.sandbox && !(common?.icc ?? false) ? "note" : "fail";
	if ("error" in dns) return [step("name", bad, `the resolver does not answer: ${words(dns.error)}`)];
	const { addresses, rcode } = dns;
	if (addresses.length === 0) {
		const why = rcode === 0 || rcode === 3 ? "name unknown" : `the resolver failed (rcode ${rcode})`;
		return [step("name", bad, `${why}: ${name}`)];
	}
	if (target && to.sandbox && !addresses.includes(target)) {
		return [step("name", "note", `${name} is ${addresses.join(", ")} there, not ${target}`)];
	}
	return [step("name", "ok", `${name} is ${addresses.join(", ")}`)];
}

function neighbourStep({ family }: CheckPlan, { neighbour }: ProbeResult): CheckStep[] {
	if (!neighbour) return [];
	const protocol = family === 6 ? "neighbour discovery" : "ARP";
	if ("mac" in neighbour) return [step("neighbour", "ok", `answers ${protocol} as ${neighbour.mac}`)];
	const why =
		neighbour.error === "failed"
			? `nobody answers ${protocol} for the address`
			: `${protocol} knows nothing of the address`;
	return [step("neighbour", "fail", why)];
}

function pingStep({ request, from, to, target }: CheckPlan, { ping, tcp }: ProbeResult): CheckStep[] {
	if (!ping) return [];
	if ("ms" in ping) return [step("ping", "ok", `${milliseconds(ping.ms)} to ${target ?? to.name}`)];
	const detail = `no answer to ping from ${target ?? to.name}: ${words(ping.error)}`;
	// Many hosts do not answer; where a connection is asked for, that counts.
	const counts = request.port === undefined || (tcp !== undefined && "error" in tcp && tcp.error !== "ECONNREFUSED");
	return [step("ping", counts ? "fail" : "note", counts ? `${from.name} gets ${detail}` : detail)];
}

function mtuStep({ pathMtu }: ProbeResult): CheckStep[] {
	if (!pathMtu) return [];
	if ("bytes" in pathMtu) return [step("path-mtu", "ok", `${pathMtu.bytes} bytes`)];
	if (pathMtu.error === "black hole") {
		return [step("path-mtu", "note", "large packets are lost, and nobody says how large they may be")];
	}
	return [step("path-mtu", "note", words(pathMtu.error))];
}

function tcpStep(plan: CheckPlan, { probe, listeners }: Found): CheckStep[] {
	const { port } = plan.request;
	const tcp = probe?.tcp;
	if (port === undefined || !tcp) return [];
	if ("ms" in tcp) return [step("tcp", "ok", `port ${port} answers in ${milliseconds(tcp.ms)}`)];
	return [step("tcp", "fail", tcpFailure(plan.to, port, tcp.error, listeners, plan.family))];
}

function tcpFailure(
	{ name, sandbox }: End,
	port: number,
	error: string,
	listeners: readonly string[] | undefined,
	family: CheckPlan["family"],
): string {
	if (listeners?.length === 0) return `${name} is not listening on TCP port ${port}`;
	const local = listeners?.every((address) => address.startsWith("127.") || address === "::1") ?? false;
	const where4 = listeners?.filter((address) => !address.includes(":")) ?? [];
	if (listeners && (local || (family === 6 && where4.length === listeners.length))) {
		const all = family === 6 ? "::" : "0.0.0.0";
		return `${name} listens on TCP port ${port} at ${listeners.join(", ")} only: it must listen on ${all} to be reached`;
	}
	if (error === "ECONNREFUSED") return `${name} refuses connections to TCP port ${port}`;
	const where = listeners && sandbox ? `${name} listens there, so it is` : "it is";
	return error === "ETIMEDOUT"
		? `no answer from TCP port ${port}: ${where} dropped on the way`
		: `TCP port ${port}: ${words(error)}`;
}

function success({ request, from, to, common }: CheckPlan, { ping, tcp }: ProbeResult): string {
	const time = tcp && "ms" in tcp ? tcp.ms : ping && "ms" in ping ? ping.ms : 0;
	const what = request.port === undefined ? to.name : `${to.name}:${request.port}`;
	return `${from.name} reaches ${what}${common ? ` over ${common.name}` : ""} in ${milliseconds(time)}`;
}

function milliseconds(ms: number): string {
	return `${ms < 10 ? ms.toFixed(2) : Math.round(ms)} ms`;
}

/** What the kernel's errors mean to a person. */
function words(error: string): string {
	const known: Record<string, string> = {
		EAGAIN: "nothing came back",
		ETIMEDOUT: "nothing came back",
		EHOSTUNREACH: "no route to host",
		ENETUNREACH: "no route",
		ECONNREFUSED: "refused",
		EACCES: "forbidden",
		EPERM: "forbidden by a rule",
		EMSGSIZE: "too large for the way",
	};
	return known[error] ?? error;
}
