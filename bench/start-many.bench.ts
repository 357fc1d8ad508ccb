import type { Bench } from "./lib/bench.ts";
import { act, createContainer, removeBenchContainers, withConnection } from "./lib/engine.ts";

const COUNT = 50;

/** Fifty clients start a container each at the same moment; until the last start has been answered. */
export const bench: Bench = {
	title: `start ${COUNT} containers at once`,
	unit: "s",
	better: "lower",
	rounds: 3,
	goal: 0.2,
	async measure(engine) {
		const ids = await withConnection(engine, async (connection) => {
			const created: string[] = [];
			for (let i = 0; i < COUNT; i++) created.push(await createContainer(connection, { command: ["sleep", "1000"] }));
			return created;
		});
		const begin = performance.now();
		await Promise.all(
			ids.map((id) => withConnection(engine, (connection) => act(connection, "POST", `/containers/${id}/start`))),
		);
		const seconds = (performance.now() - begin) / 1000;
		await removeBenchContainers(engine);
		return seconds;
	},
};
