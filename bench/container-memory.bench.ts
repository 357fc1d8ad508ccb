import type { Bench } from "./lib/bench.ts";
import { act, createContainer, removeBenchContainers, withConnection } from "./lib/engine.ts";
import { ancestors, enginePids, pssOf } from "./lib/memory.ts";

const COUNT = 20;
/** An engine may give back what a busy time took: Foredeck in the first quiet second, Go within a few. */
const SETTLE_MS = 4_000;

/** What each running container adds beside its own processes: growth of the engine, shims, monitors, proxies. */
export const bench: Bench = {
	title: "memory per running container, PSS beside its own processes",
	unit: "MB",
	better: "lower",
	rounds: 2,
	bar: 0.6,
	async measure(engine) {
		if (engine.pids.length === 0) throw new Error("the engine's process is not known: give --pids NAME=PID,...");
		await Bun.sleep(SETTLE_MS);
		const before = pssOf(enginePids(engine));
		const own = new Set<number>();
		await withConnection(engine, async (connection) => {
			for (let i = 0; i < COUNT; i++) {
				const id = await createContainer(connection, { command: ["sleep", "1000"] });
				await act(connection, "POST", `/containers/${id}/start`);
				const { State } = (await act(connection, "GET", `/containers/${id}/json`)) as { State: { Pid: number } };
				own.add(State.Pid);
			}
		});
		await Bun.sleep(SETTLE_MS);
		const pids = new Set([...enginePids(engine), ...[...own].flatMap(ancestors)]);
		for (const pid of own) pids.delete(pid);
		const after = pssOf(pids);
		await removeBenchContainers(engine);
		return (after - before) / COUNT;
	},
};
