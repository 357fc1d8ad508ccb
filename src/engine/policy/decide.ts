import { parseIp } from "../../shared/ip.ts";
import { RELAY_SOURCE } from "../../shared/relay-source.ts";
import { isNamed } from "./names.ts";
import { hasPort } from "./parse-values.ts";
import type { Action, Direction, Peer, Policy, Rule, Subject } from "./policy.ts";
import { isWithin } from "./ranges.ts";
import { policiesOf } from "./select.ts";
import { addressesOf } from "./selects.ts";

/** The other end of a flow, as far as it is known. */
export interface Party {
	/** One of our sandboxes. */
	readonly subject?: Subject;
	readonly host?: boolean;
	/** What it is reached at; a sandbox's own. Of both families where it does not matter which. */
	readonly addresses: readonly string[];
	/** Names it was asked for by: the one given, or those that our resolver answered with its address. */
	readonly names: readonly string[];
}

/** protocol undefined: whatever; port undefined: whatever, so that rules with ports do not decide. */
export interface Service {
	/** One that no rule can name (`sctp`, `47`) too. */
	readonly protocol?: string;
	readonly port?: number;
}

/** Who decides a flow in one direction, and how. */
export interface Decision {
	readonly direction: Direction;
	readonly action: Action;
	/** undefined: no policy is about this sandbox and direction, or those that are leave it open. */
	readonly policy?: string;
	/** Its number in the policy; undefined: the policy's default. */
	readonly rule?: number;
	/** Rules that decide otherwise for some ports or protocols, where none was asked for. */
	readonly partly: readonly { readonly policy: string; readonly rule: number; readonly action: Action }[];
}

/** What the kernel's rules do with a new flow of this sandbox: a deny rule of any policy, then an allow rule of any, then a default of deny. */
export function decide(
	policies: readonly Policy[],
	subject: Subject,
	direction: Direction,
	party: Party,
	service: Service,
): Decision {
	const own = policiesOf(policies, subject);
	const found = own.flatMap((policy) =>
		policy.rules.flatMap((rule, at) => {
			const fits = rule.direction === direction ? fitOf(rule, party, service) : "no";
			return fits === "no" ? [] : [{ policy: policy.name, rule: at, action: rule.action, fits }];
		}),
	);
	const partly = found
		.filter(({ fits }) => fits === "partly")
		.map(({ policy, rule, action }) => ({ policy, rule, action }));
	const whole = (action: Action) => found.find((one) => one.fits === "yes" && one.action === action);
	const decisive = whole("deny") ?? whole("allow");
	if (decisive) {
		const { policy, rule, action } = decisive;
		return { direction, action, policy, rule, partly: partly.filter((one) => overrules(one.action, action)) };
	}
	const names = own.filter((policy) => policy.default[direction] === "deny").map(({ name }) => name);
	const [denier] = names.toSorted();
	const action = denier === undefined ? "allow" : "deny";
	return {
		direction,
		action,
		...(denier !== undefined && { policy: denier }),
		partly: partly.filter((one) => one.action !== action),
	};
}

/** A rule for some ports changes what one for all has decided only when it denies. */
function overrules(action: Action, decided: Action): boolean {
	return action === "deny" && decided === "allow";
}

function fitOf(rule: Rule, party: Party, service: Service): "yes" | "partly" | "no" {
	if (rule.peers.length === 0) return serviceFit(rule, rule.ports, service);
	const fits = rule.peers
		.filter((peer) => isPeer(peer, rule.action, party))
		.map((peer) => serviceFit(rule, peer.ports ?? rule.ports, service));
	if (fits.includes("yes")) return "yes";
	return fits.includes("partly") ? "partly" : "no";
}

function serviceFit(rule: Rule, ports: readonly string[], { protocol, port }: Service): "yes" | "partly" | "no" {
	const protocols = rule.protocols.length === 0 && ports.length > 0 ? (["tcp"] as const) : rule.protocols;
	if (protocols.length > 0) {
		if (protocol === undefined) return "partly";
		if (!protocols.some((one) => one === protocol)) return "no";
	}
	if (ports.length === 0) return "yes";
	if (port === undefined) return "partly";
	return hasPort(ports, port) ? "yes" : "no";
}

function isPeer(peer: Peer, action: Action, { subject, host, addresses, names }: Party): boolean {
	switch (peer.kind) {
		case "host":
			return host === true;
		case "sandboxes":
			return subject !== undefined && addressesOf(peer.select, subject, action).some((one) => addresses.includes(one));
		case "name":
			return names.some((name) => isNamed(name, peer.name));
		case "cidr":
			// Whom the relay speaks for is not seen: it may be one of these.
			if (action === "deny" && peer.cidr.includes(":") && addresses.includes(RELAY_SOURCE)) return true;
			return addresses.some((text) => {
				const address = parseIp(text);
				return address !== undefined && isWithin(address, peer.cidr, peer.except);
			});
	}
}
