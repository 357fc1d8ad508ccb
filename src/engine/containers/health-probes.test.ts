import { expect, test } from "bun:test";
import { PassThrough } from "node:stream";
import { frame, STDOUT } from "../../shared/stdcopy.ts";
import type { Context } from "./context.ts";
import type { Execs } from "./contract.ts";
import { createHealthProbes } from "./health-probes.ts";
import type { ContainerRecord, ContainerState } from "./record.ts";
import { containerConfig, containerRecord } from "./testing/fakes.ts";

const RUNNING: ContainerState = { status: "running", pid: 1, startedAt: new Date().toISOString() };

/** A container whose probe prints "hi" and ends with what `exitCode` says; `hangs`: it never ends. */
function fake(check: object) {
	const events: string[] = [];
	const killed: string[] = [];
	const behaviour = { exitCode: 0, hangs: false, runs: 0 };
	const config = containerConfig({ Healthcheck: { Test: ["CMD", "probe"], Interval: 10e6, ...check } });
	let record: ContainerRecord = { ...containerRecord({ config }), state: RUNNING };
	const put = (next: ContainerRecord) => {
		record = next;
	};
	const context = {
		store: { get: (id: string) => (id === record.id ? record : undefined), put, show: put },
		events: { publish: (_type: string, action: string) => events.push(action) },
		runtime: { kill: async (id: string) => killed.push(id) },
	} as unknown as Context;
	const execs = {
		create: async () => ({ id: `e${++behaviour.runs}` }),
		start: async () => {
			const stream = new PassThrough();
			stream.write(frame(STDOUT, Buffer.from("hi\n")));
			if (!behaviour.hangs) stream.end();
			stream.pause();
			return { tty: false, stream, detached: () => {} };
		},
		inspect: () => ({ state: { status: "exited", exitCode: behaviour.exitCode } }),
	} as unknown as Execs;
	const probes = createHealthProbes(() => context, execs);
	return {
		probes,
		events,
		killed,
		behaviour,
		id: record.id,
		health: () => record.health,
		become: (state: ContainerState) => put({ ...record, state }),
	};
}

async function until(done: () => boolean): Promise<void> {
	for (let i = 0; i < 300 && !done(); i++) await Bun.sleep(5);
	expect(done()).toBe(true);
}

test("a container gets healthy, unhealthy and healthy again, with an event each", async () => {
	const { probes, events, behaviour, health, id } = fake({ Retries: 2 });
	probes.follow(id);
	await until(() => health()?.status === "healthy");
	behaviour.exitCode = 1;
	await until(() => health()?.status === "unhealthy");
	behaviour.exitCode = 0;
	await until(() => health()?.status === "healthy");
	probes.close();
	expect(events).toEqual(["health_status: healthy", "health_status: unhealthy", "health_status: healthy"]);
	expect(health()?.log.at(-1)).toMatchObject({ exitCode: 0, output: "hi\n" });
});

test("a probe that takes too long is killed, and says so with what it printed", async () => {
	const { probes, killed, behaviour, health, id } = fake({ Timeout: 20e6, Retries: 1 });
	behaviour.hangs = true;
	probes.follow(id);
	await until(() => health()?.status === "unhealthy");
	probes.close();
	expect(killed).toContain("e1");
	expect(health()?.log[0]).toMatchObject({ exitCode: -1, output: "Health check exceeded timeout (20ms): hi\n" });
});

test("nothing is probed of a container that is paused, and again when it goes on", async () => {
	const { probes, behaviour, become, id } = fake({});
	become({ ...RUNNING, status: "paused" } as ContainerState);
	probes.follow(id);
	await Bun.sleep(40);
	expect(behaviour.runs).toBe(0);
	become(RUNNING);
	probes.follow(id);
	await until(() => behaviour.runs > 1);
	become({ status: "exited", exitCode: 0, oomKilled: false, startedAt: "", finishedAt: "" });
	probes.follow(id);
	const runs = behaviour.runs;
	await Bun.sleep(40);
	expect(behaviour.runs).toBe(runs);
});
