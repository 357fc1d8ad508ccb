import { expect, test } from "bun:test";
import type { EngineEvent } from "../../engine/events.ts";
import { filtersOf } from "../filters.ts";
import { matchesEvent } from "./event-filter.ts";

const ID = "abcdef012345";
const event = (Type: EngineEvent["Type"], Action: string, id: string, Attributes: Record<string, string>) =>
	({ Type, Action, Actor: { ID: id, Attributes }, scope: "local", time: 0, timeNano: 0n }) as const;

const EVENTS = {
	start: event("container", "start", ID, { name: "web", image: "busybox:1", tier: "front", zone: "a" }),
	exec: event("container", "exec_create: sh -c x", ID, { name: "web", image: "busybox:1", execID: "e" }),
	die: event("container", "exec_die", "fff", { name: "db", image: "registry:5000/mariadb" }),
	health: event("container", "health_status: healthy", "fff", { name: "db", image: "registry:5000/mariadb" }),
	tag: event("image", "tag", "sha256:77", { name: "busybox:1" }),
	connect: event("network", "connect", "999", { name: "bridge", container: ID }),
	mount: event("volume", "mount", "data", { container: ID }),
	reload: event("daemon", "reload", "host-id", { name: "host" }),
};

/** Names of the events that a filter leaves. */
function left(filters: object): string[] {
	const parsed = filtersOf(new URLSearchParams({ filters: JSON.stringify(filters) }), "any");
	return Object.entries(EVENTS).flatMap(([name, one]) => (matchesEvent(one, parsed) ? [name] : []));
}

test.each([
	[{}, Object.keys(EVENTS)],
	[{ unheard: ["of"] }, Object.keys(EVENTS)],
	[{ type: ["image", "daemon"] }, ["tag", "reload"]],
	[{ scope: ["local"] }, Object.keys(EVENTS)],
	[{ scope: ["swarm"] }, []],
	[{ container: ["web"] }, ["start", "exec"]],
	[{ container: ["abcd", "db"] }, ["start", "exec", "die", "health"]],
	[{ container: ["w"] }, ["start", "exec"]],
	[{ network: ["bridge"] }, ["connect"]],
	[{ volume: ["data"] }, ["mount"]],
	[{ daemon: ["host"] }, ["reload"]],
	[{ node: ["n1"] }, []],
	[{ service: ["s1"], type: ["container"] }, []],
	[{ label: ["tier"] }, ["start"]],
	[{ label: ["tier=front", "zone=a"] }, ["start"]],
	[{ label: ["tier=front", "zone=b"] }, []],
	[{ image: ["busybox"] }, ["start", "exec", "tag"]],
	[{ image: ["busybox:1"] }, ["start", "exec", "tag"]],
	[{ image: ["busy"] }, []],
	[{ image: ["registry:5000/mariadb"] }, ["die", "health"]],
	[{ image: ["sha256:77"] }, ["tag"]],
	[{ event: ["start"] }, ["start"]],
	[{ event: ["exec_create"] }, ["exec"]],
	[{ event: ["exec_die"] }, ["die"]],
	[{ event: ["exec"] }, []],
	[{ event: ["health_status"] }, ["health"]],
	[{ event: ["health_status: healthy"] }, ["health"]],
	[{ event: ["start", "tag"], container: ["web"] }, ["start"]],
	[{ event: { start: true } }, ["start"]],
])("events filtered by %j", (filters, expected) => {
	expect(left(filters)).toEqual(expected);
});
