import { beforeEach, expect, test } from "bun:test";
import { Elysia } from "elysia";
import type { ContainerState } from "../../engine/containers/record.ts";
import { createEventBus } from "../../engine/event-bus.ts";
import { EngineError } from "../../shared/errors.ts";
import { FakeContainers, fakeRecord } from "../testing/fakes.ts";
import { pruneRoutes } from "./prune.ts";

const TIMES = { startedAt: "2026-01-01T00:00:00Z", finishedAt: "2026-01-01T00:00:01Z" };
const EXITED: ContainerState = { status: "exited", exitCode: 0, oomKilled: false, ...TIMES };
const STATES: readonly (readonly [string, ContainerState])[] = [
	["created", { status: "created" }],
	["exited", EXITED],
	["running", { status: "running", pid: 7, startedAt: TIMES.startedAt }],
	["paused", { status: "paused", pid: 8, startedAt: TIMES.startedAt }],
	["restarting", { ...EXITED, status: "restarting" }],
];

const NOTHING = { ContainersDeleted: null, SpaceReclaimed: 0 };

let containers: FakeContainers;
let events: ReturnType<typeof createEventBus>;

beforeEach(() => {
	containers = new FakeContainers();
	events = createEventBus();
});

async function prune(filters: object = {}) {
	const refusals = new Elysia().onError(({ error }) => Response.json({ message: (error as Error).message }));
	const routes = refusals.use(pruneRoutes(containers, events));
	const query = new URLSearchParams({ filters: JSON.stringify(filters) });
	const reply = await routes.fetch(new Request(`http://localhost/containers/prune?${query}`, { method: "POST" }));
	return (await reply.json()) as { ContainersDeleted: string[]; SpaceReclaimed: number };
}

const removedNames = () => containers.calls.filter(([call]) => call === "remove").map(([, name]) => name);

test("prune removes what does not run, adds up its size and says so in an event", async () => {
	for (const [name, state] of STATES) containers.add(fakeRecord(name, state));
	const reply = await prune();
	expect(removedNames().sort()).toEqual(["created", "exited"]);
	expect([reply.ContainersDeleted.length, reply.SpaceReclaimed]).toEqual([2, 2]);
	const seen = await Array.fromAsync(events.subscribe({ since: 1n, until: 1n << 62n }, AbortSignal.timeout(5)));
	expect(seen.map(({ Type, Action, Actor }) => [Type, Action, Actor])).toEqual([
		["container", "prune", { ID: "", Attributes: { reclaimed: "2" } }],
	]);
});

test("prune with nothing to remove answers null, as docker does", async () => {
	expect(await prune()).toEqual(NOTHING as never);
});

test("prune heeds until, label and label!", async () => {
	const labels = (one: object) => ({ Labels: one });
	containers.add({ ...fakeRecord("old", EXITED), created: "2026-01-01T00:00:00.000000001Z" });
	containers.add({ ...fakeRecord("young", EXITED), created: "2026-01-03T00:00:00Z" });
	containers.add({ ...fakeRecord("kept", EXITED, labels({ keep: "yes" })), created: "2026-01-01T00:00:00Z" });
	await prune({ until: ["2026-01-02T00:00:00Z"], "label!": ["keep=yes"] });
	expect(removedNames()).toEqual(["old"]);
	containers.calls.length = 0;
	await prune({ label: ["keep"] });
	expect(removedNames()).toEqual(["kept"]);
});

test("a container that cannot be removed is left out of the reply", async () => {
	containers.add(fakeRecord("one", EXITED));
	containers.remove = async () => {
		throw new EngineError("conflict", "it runs again");
	};
	expect(await prune()).toEqual(NOTHING as never);
});

test.each([
	[{ until: ["soon"] }, 'failed to parse value as time or duration: "soon"'],
	[{ until: ["1h", "2h"] }, "more than one until filter specified"],
	[{ name: ["x"] }, "invalid filter 'name'"],
])("prune refuses %j", async (filters, message) => {
	containers.add(fakeRecord("one", EXITED));
	expect(await prune(filters)).toEqual({ message } as never);
	expect(removedNames()).toEqual([]);
});
