import { EngineError } from "../../shared/errors.ts";
import { wrong } from "./invalid.ts";
import { nameOf, parsePort, parsePorts, patternOf, splitPort } from "./parse-values.ts";
import type { Action, Direction, Peer, Policy, Protocol, Rule, Selector } from "./policy.ts";
import { networkOf } from "./ranges.ts";

const ACTIONS: readonly Action[] = ["allow", "deny"];
const DIRECTIONS: readonly Direction[] = ["egress", "ingress"];
const PROTOCOLS: readonly Protocol[] = ["tcp", "udp", "icmp"];
const MAX_POLICIES = 256;
const MAX_RULES = 512;

/** One policy object, a list of them, or `{ policies: [...] }`. Throws "invalid" naming the place, what stands there and what may. */
export function parsePolicies(value: unknown): Policy[] {
	const wrapped = isObject(value) && "policies" in value ? fields(value, "", ["policies"]).policies : value;
	const list = Array.isArray(wrapped) ? wrapped : [wrapped];
	const prefix = isObject(value) && "policies" in value ? "policies" : "";
	if (list.length === 0 || list.length > MAX_POLICIES)
		throw wrong("policies", list.length, `1 to ${MAX_POLICIES} policies`);
	const found = list.map((one, at) => parsePolicy(one, Array.isArray(wrapped) ? `${prefix}[${at}]` : ""));
	for (const [at, { name }] of found.entries()) {
		if (found.findIndex((other) => other.name === name) < at) throw wrong(`[${at}].name`, name, "each name once");
	}
	return found;
}

function parsePolicy(value: unknown, path: string): Policy {
	const policy = fields(value, path, ["name", "select", "default", "rules"]);
	const name = nameOf(policy.name, join(path, "name"));
	const defaults = fields(policy.default ?? {}, join(path, "default"), DIRECTIONS);
	const rules = listOf(policy.rules ?? [], join(path, "rules"), MAX_RULES);
	const action = (direction: Direction) => {
		const asked = defaults[direction];
		return asked === undefined ? {} : { [direction]: oneOf(asked, join(path, `default.${direction}`), ACTIONS) };
	};
	return {
		name,
		...(policy.select !== undefined && { select: parseSelector(policy.select, join(path, "select")) }),
		default: { ...action("egress"), ...action("ingress") },
		rules: rules.map((rule, at) => parseRule(rule, join(path, `rules[${at}]`))),
	};
}

function parseRule(value: unknown, path: string): Rule {
	const rule = fields(value, path, ["action", "direction", "to", "from", "ports", "protocols", "comment"]);
	const direction = directionOf(rule, path);
	const action = oneOf(rule.action, join(path, "action"), ACTIONS);
	const side = direction === "egress" ? "to" : "from";
	const ports = rule.ports === undefined ? [] : parsePorts(rule.ports, join(path, "ports"));
	const protocols = unique(
		listOf(rule.protocols ?? [], join(path, "protocols"), 3).map((one, at) =>
			oneOf(one, join(path, `protocols[${at}]`), PROTOCOLS),
		),
	);
	const peers = listOf(rule[side] ?? [], join(path, side), 256).map((peer, at) =>
		parsePeer(peer, join(path, `${side}[${at}]`)),
	);
	if (rule[side] !== undefined && peers.length === 0)
		throw wrong(join(path, side), [], "at least one entry, or no list at all");
	const ported = ports.length > 0 || peers.some((peer) => peer.ports);
	if (ported && protocols.includes("icmp"))
		throw wrong(join(path, "protocols"), "icmp", "tcp or udp, for there are ports");
	if (ports.length > 0 && peers.some((peer) => peer.ports)) {
		throw wrong(join(path, "ports"), ports.join(), "ports here or beside the peers, not both");
	}
	if (direction === "ingress" && peers.some((peer) => peer.kind === "name")) {
		throw wrong(
			join(path, "from"),
			"a host name",
			"a CIDR, sandboxes or host: names are known of what sandboxes reach",
		);
	}
	const comment = rule.comment === undefined ? {} : { comment: textOf(rule.comment, join(path, "comment")) };
	return { action, direction, peers, protocols, ports, ...comment };
}

/** `to` is egress, `from` ingress. */
function directionOf(rule: Readonly<Record<string, unknown>>, path: string): Direction {
	const implied = rule.to !== undefined ? "egress" : rule.from !== undefined ? "ingress" : undefined;
	if (rule.to !== undefined && rule.from !== undefined)
		throw wrong(path, "to and from", "one of them: a rule has one direction");
	if (rule.direction === undefined && implied) return implied;
	const direction = oneOf(rule.direction, join(path, "direction"), DIRECTIONS);
	if (implied && implied !== direction)
		throw wrong(
			join(path, "direction"),
			direction,
			`${implied}, as the rule says ${implied === "egress" ? "to" : "from"}`,
		);
	return direction;
}

function parsePeer(value: unknown, path: string): Peer {
	if (typeof value === "string") return parseShort(value, path);
	const peer = fields(value, path, ["cidr", "except", "sandboxes", "name", "host", "ports"]);
	const kinds = (["cidr", "sandboxes", "name", "host"] as const).filter((kind) => peer[kind] !== undefined);
	if (kinds.length !== 1) throw wrong(path, kinds.join(" and ") || "nothing", "one of cidr, sandboxes, name, host");
	if (peer.except !== undefined && peer.cidr === undefined)
		throw wrong(join(path, "except"), peer.except, "except beside cidr");
	const ports = peer.ports === undefined ? {} : { ports: parsePorts(peer.ports, join(path, "ports")) };
	if (peer.sandboxes !== undefined) {
		return { kind: "sandboxes", select: parseSelector(peer.sandboxes, join(path, "sandboxes")), ...ports };
	}
	if (peer.name !== undefined) return { kind: "name", name: patternOf(peer.name, join(path, "name")), ...ports };
	if (peer.host !== undefined) {
		if (peer.host !== true) throw wrong(join(path, "host"), peer.host, "true");
		return { kind: "host", ...ports };
	}
	return { ...parseNetwork(peer.cidr, peer.except ?? [], path), ...ports };
}

function parseNetwork(value: unknown, holes: unknown, path: string): Extract<Peer, { kind: "cidr" }> {
	const cidr = cidrOf(value, join(path, "cidr"));
	const except = listOf(holes, join(path, "except"), 256).map((one, at) => {
		const hole = cidrOf(one, join(path, `except[${at}]`));
		if (hole.includes(":") === cidr.includes(":")) return hole;
		throw wrong(join(path, `except[${at}]`), one, `a part of ${cidr}`);
	});
	return { kind: "cidr", cidr, except };
}

/** `10.0.0.0/8`, `192.0.2.1`, `2001:db8::1`, `api.example.org`, `host`; with `:443` or `:8000-8010` behind, then IPv6 in brackets: `[2001:db8::/32]:443`. */
function parseShort(text: string, path: string): Peer {
	const { target, port } = splitPort(text.trim());
	const ports = port === undefined ? {} : { ports: [parsePort(port, path)] };
	if (target === "host") return { kind: "host", ...ports };
	if (/^[\d./]+$/.test(target) || target.includes(":"))
		return { kind: "cidr", cidr: cidrOf(target, path), except: [], ...ports };
	return { kind: "name", name: patternOf(target, path), ...ports };
}

function parseSelector(value: unknown, path: string): Selector {
	const selector = fields(value, path, ["all", "names", "labels", "networks", "projects"]);
	if (Object.keys(selector).length === 0)
		throw wrong(path, "{}", "all: true, or one of names, labels, networks, projects");
	if (selector.all !== undefined && selector.all !== true) throw wrong(join(path, "all"), selector.all, "true");
	const texts = (key: "names" | "networks" | "projects") => {
		const list = selector[key];
		if (list === undefined) return {};
		const found = listOf(list, join(path, key), 256).map((one, at) => textOf(one, join(path, `${key}[${at}]`)));
		if (found.length === 0) throw wrong(join(path, key), "[]", "at least one entry");
		return { [key]: found };
	};
	return {
		...(selector.all === true && { all: true as const }),
		...texts("names"),
		...(selector.labels !== undefined && { labels: labelsOf(selector.labels, join(path, "labels")) }),
		...texts("networks"),
		...texts("projects"),
	};
}

function labelsOf(value: unknown, path: string): Record<string, string> {
	if (!isObject(value) || Object.keys(value).length === 0) throw wrong(path, value, "an object of label: text");
	return Object.fromEntries(Object.entries(value).map(([key, text]) => [key, textOf(text, join(path, key))]));
}

/** An address alone is a network of one. No packet bears an address of IPv4 within IPv6 (`::ffff:10.0.0.0/104`): a rule with one would hold for nothing. */
function cidrOf(value: unknown, path: string): string {
	const text = textOf(value, path);
	const network = networkOf(text);
	if (network === undefined || network.startsWith("::ffff:")) {
		throw wrong(path, text, "a network such as 10.0.0.0/8 or 2001:db8::/32, or an address");
	}
	return network;
}

function fields<K extends string>(
	value: unknown,
	path: string,
	allowed: readonly K[],
): Readonly<Partial<Record<K, unknown>>> {
	if (!isObject(value)) throw wrong(path || "policy", value, `an object with ${allowed.join(", ")}`);
	const stranger = Object.keys(value).find((key) => !allowed.some((known) => known === key));
	if (stranger !== undefined) {
		throw new EngineError(
			"invalid",
			`invalid policy: unknown field ${join(path, stranger)}: allowed are ${allowed.join(", ")}`,
		);
	}
	return Object.fromEntries(Object.entries(value).filter(([, one]) => one !== null)) as Partial<Record<K, unknown>>;
}

function listOf(value: unknown, path: string, most: number): unknown[] {
	if (!Array.isArray(value)) throw wrong(path, value, "a list");
	if (value.length > most) throw wrong(path, `${value.length} entries`, `at most ${most}`);
	return value;
}

function oneOf<T extends string>(value: unknown, path: string, allowed: readonly T[]): T {
	const found = allowed.find((one) => one === value);
	if (found === undefined) throw wrong(path, value, allowed.join(", "));
	return found;
}

function textOf(value: unknown, path: string): string {
	if (typeof value !== "string" || value === "" || value.length > 255)
		throw wrong(path, value, "a text of 1 to 255 characters");
	return value;
}

function unique<T>(list: readonly T[]): T[] {
	return [...new Set(list)];
}

function isObject(value: unknown): value is Record<string, unknown> {
	return typeof value === "object" && value !== null && !Array.isArray(value);
}

function join(path: string, key: string): string {
	return path === "" ? key : `${path}.${key}`;
}
