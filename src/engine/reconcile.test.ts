import { expect, test } from "bun:test";
import type { ObservedProcess } from "../drivers/runtime/driver.ts";
import type { HostConfig } from "./containers/config.ts";
import type { ContainerRecord } from "./containers/record.ts";
import { nextDelay, shouldRestart } from "./containers/restart.ts";
import { containerRecord, hostConfig } from "./containers/testing/fakes.ts";
import { plan } from "./reconcile.ts";

const NOW = "2026-02-02T00:00:00Z";
const STARTED = "2026-01-02T00:00:00Z";
const ENDED = { exitCode: 1, oomKilled: false, startedAt: STARTED, finishedAt: "2026-01-03T00:00:00Z" };
const running = { status: "running" as const, pid: 9, startedAt: STARTED };
const policy = (Name: HostConfig["RestartPolicy"]["Name"], MaximumRetryCount = 0) =>
	hostConfig({ RestartPolicy: { Name, MaximumRetryCount } });

function process(processId: string, exitCode?: number, containerId = processId): ObservedProcess {
	const at = { processId, containerId, pid: 9, startedAt: STARTED };
	if (exitCode === undefined) return at;
	return { ...at, exit: { processId, containerId, exitCode, oomKilled: false, exitedAt: "2026-01-04T00:00:00Z" } };
}

function planned(patch: Partial<ContainerRecord>, processes: ObservedProcess[] = [], snapshots = ["a"]) {
	return plan([containerRecord({ id: "a", ...patch })], { processes, snapshots }, NOW);
}

test("one that runs is adopted, also when the record never learnt of its start", () => {
	const adopt = { do: "adopt" as const, id: "a", pid: 9, startedAt: STARTED };
	expect(planned({ state: running }, [process("a")])).toEqual([adopt]);
	expect(planned({ state: { status: "created" } }, [process("a")])).toEqual([adopt]);
});

test("one that ended meanwhile has its own code and time; one nobody saw end has 255", () => {
	const ended = { exitCode: 4, oomKilled: false, startedAt: STARTED, finishedAt: "2026-01-04T00:00:00Z" };
	expect(planned({ state: running }, [process("a", 4)])).toEqual([{ do: "settle", id: "a", ended }]);
	expect(planned({ state: { status: "created" } }, [process("a", 4)])).toEqual([{ do: "settle", id: "a", ended }]);
	expect(planned({ state: running })).toEqual([
		{ do: "settle", id: "a", ended: { exitCode: 255, oomKilled: false, startedAt: STARTED, finishedAt: NOW } },
	]);
});

test("an end that is known already is only released", () => {
	expect(planned({ state: { status: "exited", ...ENDED } }, [process("a", 1)])).toEqual([
		{ do: "release-process", id: "a" },
	]);
});

test("always comes back even when stopped by the user, unless-stopped does not", () => {
	const state = { status: "exited" as const, ...ENDED };
	const start = [{ do: "start" as const, id: "a" }];
	expect(planned({ state, hostConfig: policy("always"), stoppedByUser: true })).toEqual(start);
	expect(planned({ state, hostConfig: policy("unless-stopped") })).toEqual(start);
	expect(planned({ state, hostConfig: policy("unless-stopped"), stoppedByUser: true })).toEqual([]);
	expect(planned({ state, hostConfig: policy("on-failure") })).toEqual([]);
	expect(planned({ state: { ...state, status: "restarting" }, hostConfig: policy("on-failure") })).toEqual(start);
	expect(planned({ state, hostConfig: policy("no") })).toEqual([]);
});

test("half-made and half-removed ones are finished", () => {
	expect(planned({ state: { status: "created" } })).toEqual([]);
	expect(planned({ state: { status: "created" } }, [], [])).toEqual([{ do: "prepare-snapshot", id: "a" }]);
	expect(planned({ state: { status: "removing" } })).toEqual([{ do: "remove", id: "a" }]);
	expect(planned({ state: { status: "exited", ...ENDED }, hostConfig: hostConfig({ AutoRemove: true }) })).toEqual([
		{ do: "remove", id: "a" },
	]);
});

test("processes and snapshots of nobody are removed; a running exec of a known container is left alone", () => {
	const processes = [process("a"), process("x"), process("e1", undefined, "a"), process("e2", 0, "a")];
	expect(planned({ state: running }, processes, ["a", "y"]).slice(1)).toEqual([
		{ do: "release-process", id: "x" },
		{ do: "release-process", id: "e2" },
		{ do: "remove-snapshot", id: "y" },
	]);
});

test("the back-off doubles from 100 ms to a minute, and starts anew after a good run", () => {
	expect([nextDelay(undefined, 0), nextDelay(100, 0), nextDelay(50_000, 0), nextDelay(50_000, 10_000)]).toEqual([
		100, 200, 60_000, 100,
	]);
});

test("on-failure looks at the code and counts attempts", () => {
	const of = (exitCode: number, attempts: number, stoppedByUser = false) =>
		shouldRestart({ Name: "on-failure", MaximumRetryCount: 2 }, { exitCode, attempts, stoppedByUser });
	expect([of(0, 0), of(1, 1), of(1, 2), of(1, 0, true)]).toEqual([false, true, false, false]);
});
