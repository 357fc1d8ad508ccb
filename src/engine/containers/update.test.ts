import { expect, test } from "bun:test";
import { type HostConfig, NO_LIMITS } from "./config.ts";
import { containerConfig, createTestEngine, hostConfig } from "./testing/fakes.ts";
import { conflictOf, liveResources, type Resources } from "./update.ts";

test("the runtime is told what was asked for, and nothing else", () => {
	expect(liveResources(NO_LIMITS)).toEqual({});
	expect(liveResources({ ...NO_LIMITS, Memory: 1 << 26 })).toEqual({ memory: { limit: 1 << 26 } });
	expect(liveResources({ ...NO_LIMITS, MemorySwap: -1 })).toEqual({ memory: { swap: -1 } });
	expect(liveResources({ ...NO_LIMITS, NanoCpus: 5e8 })).toEqual({ cpu: { period: 100_000, quota: 50_000 } });
	expect(liveResources({ ...NO_LIMITS, PidsLimit: 0 })).toEqual({ pids: { limit: -1 } });
	expect(liveResources({ ...NO_LIMITS, PidsLimit: 9, CpusetCpus: "0" })).toEqual({
		pids: { limit: 9 },
		cpu: { cpus: "0" },
	});
});

test.each<[Partial<HostConfig>, Partial<Resources>, string]>([
	[{ CpuPeriod: 1000 }, { NanoCpus: 1e9 }, "Nano CPUs cannot be updated as CPU Period has already been set"],
	[{ NanoCpus: 1e9 }, { CpuQuota: 5000 }, "CPU Quota cannot be updated as NanoCPUs has already been set"],
	[{ MemorySwap: 0 }, { Memory: 1 << 26 }, "Memory limit should be smaller than already set memoryswap limit"],
])("%j bears no %j", (has, asked, message) => {
	const hostConfig = { ...NO_LIMITS, ...has } as HostConfig;
	expect(conflictOf({ hostConfig }, { resources: { ...NO_LIMITS, ...asked } })).toContain(message);
});

test("unlimited swap bears any memory limit", () => {
	const hostConfig = { ...NO_LIMITS, MemorySwap: -1 } as HostConfig;
	expect(conflictOf({ hostConfig }, { resources: { ...NO_LIMITS, Memory: 1 << 26 } })).toBeUndefined();
});

async function made(host: Partial<HostConfig> = {}) {
	const engine = createTestEngine();
	await engine.open();
	const request = { name: "web", config: containerConfig(), hostConfig: hostConfig(host) };
	const { id } = await engine.containers.create(request);
	return { engine, id };
}

test("update() tells a running container's runtime, stores the limits, and says so", async () => {
	const { engine, id } = await made();
	await using _ = engine;
	await engine.containers.start(id);
	await engine.containers.update(id, {
		resources: { ...NO_LIMITS, CpuShares: 300 },
		restartPolicy: { Name: "always", MaximumRetryCount: 0 },
	});
	expect(engine.runtime.updates).toEqual([[id, { cpu: { shares: 300 } }]]);
	const { CpuShares, RestartPolicy } = engine.containers.inspect(id).hostConfig;
	expect([CpuShares, RestartPolicy.Name]).toEqual([300, "always"]);
	expect(engine.actions()).toContain("update");
});

test("update() of a stopped container stores; what the kernel refuses is not stored", async () => {
	const { engine, id } = await made();
	await using _ = engine;
	await engine.containers.update(id, { resources: { ...NO_LIMITS, CpuShares: 300 } });
	expect([engine.runtime.updates, engine.containers.inspect(id).hostConfig.CpuShares]).toEqual([[], 300]);
	await engine.containers.start(id);
	engine.runtime.failure = new Error("no");
	const refused = engine.containers.update(id, { resources: { ...NO_LIMITS, CpuShares: 400 } });
	await expect(refused).rejects.toThrow(`Cannot update container ${id}: no`);
	expect(engine.containers.inspect(id).hostConfig.CpuShares).toBe(300);
});

test("update() sets block weight where the kernel has it, within its range", async () => {
	const { engine, id } = await made();
	await using _ = engine;
	const { warnings } = await engine.containers.update(id, { resources: { ...NO_LIMITS, BlkioWeight: 300 } });
	expect([warnings, engine.containers.inspect(id).hostConfig.BlkioWeight]).toEqual([[], 300]);
	await expect(engine.containers.update(id, { resources: { ...NO_LIMITS, BlkioWeight: 5 } })).rejects.toThrow(
		"Range of blkio weight is from 10 to 1000",
	);
});

test("update() refuses impossible limits, and a policy beside --rm", async () => {
	const { engine, id } = await made({ AutoRemove: true });
	await using _ = engine;
	const update = (resources: Partial<Resources>, restartPolicy?: HostConfig["RestartPolicy"]) =>
		engine.containers.update(id, { resources: { ...NO_LIMITS, ...resources }, restartPolicy });
	await expect(update({ Memory: 1000 })).rejects.toThrow("Minimum memory limit allowed is 6MB");
	await expect(update({}, { Name: "always", MaximumRetryCount: 0 })).rejects.toThrow("because AutoRemove is enabled");
});
