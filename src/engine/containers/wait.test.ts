import { expect, test } from "bun:test";
import { EngineError } from "../../shared/errors.ts";
import { containerConfig, createTestEngine, hostConfig, type TestEngine } from "./testing/fakes.ts";

function waitFor(engine: TestEngine, ref: string, condition: "next-exit" | "removed") {
	return engine.containers.wait(ref, condition, new AbortController().signal, () => {});
}

// The docker CLI waits for the next exit before it starts a container, and would tell of the same failure twice.
test.each([
	[false, "next-exit", undefined],
	[true, "removed", { exitCode: 127 }],
] as const)(
	"a failed start ends no run; with --rm it is the end of the container (%p)",
	async (AutoRemove, until, told) => {
		await using engine = createTestEngine();
		await engine.open();
		const { id } = await engine.containers.create({
			config: containerConfig(),
			hostConfig: hostConfig({ AutoRemove }),
		});
		const waiting = waitFor(engine, id, until);
		engine.runtime.failure = new EngineError("invalid", "executable file `x` not found in $PATH");
		await expect(engine.containers.start(id)).rejects.toThrow("executable file not found");
		expect(await Promise.race([waiting, Bun.sleep(5)])).toEqual(told);
	},
);
