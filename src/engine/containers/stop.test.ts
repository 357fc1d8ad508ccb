import { expect, test } from "bun:test";
import { containerConfig, createTestEngine, hostConfig } from "./testing/fakes.ts";

test.each([
	["TERM", {}, "running"],
	["HUP", {}, "paused"],
	["USR1", { StopSignal: "USR1" }, "running"],
])("a paused container goes on when it is told to stop, and ignores it (%s)", async (signal, config, status) => {
	await using engine = createTestEngine();
	await engine.open();
	const { id } = await engine.containers.create({ config: containerConfig(config), hostConfig: hostConfig() });
	await engine.containers.start(id);
	await engine.containers.pause(id);
	await engine.containers.kill(id, signal);
	expect(engine.containers.inspect(id).state.status).toBe(status as "running");
	expect(engine.actions().includes("unpause")).toBe(status === "running");
});
