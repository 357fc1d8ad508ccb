import type { Bench } from "./lib/bench.ts";
import { act, createContainer, withConnection } from "./lib/engine.ts";
import { succeed } from "./lib/http.ts";
import { createNetwork, removeNetwork } from "./lib/networks.ts";

const NETWORK = "foredeck-bench-connect";
const HOME = "foredeck-bench-home";
const containers = new Map<string, string>();

/** Of a container that runs, and is on another network. */
export const bench: Bench = {
	title: "network connect+disconnect of a running container",
	unit: "ms",
	better: "lower",
	rounds: 20,
	goal: 0.3,
	async prepare(engine) {
		await createNetwork(engine, HOME);
		await createNetwork(engine, NETWORK);
		await withConnection(engine, async (connection) => {
			const hostConfig = { NetworkMode: HOME };
			const id = await createContainer(connection, { command: ["sleep", "1000000"], hostConfig });
			await act(connection, "POST", `/containers/${id}/start`);
			containers.set(engine.name, id);
		});
	},
	measure: (engine) =>
		withConnection(engine, async (connection) => {
			const body = { Container: containers.get(engine.name) };
			const begin = performance.now();
			for (const action of ["connect", "disconnect"]) {
				succeed(await connection.request("POST", `/v1.43/networks/${NETWORK}/${action}`, { body }), action);
			}
			return performance.now() - begin;
		}),
	async cleanup(engine) {
		for (const name of [HOME, NETWORK]) await removeNetwork(engine, name);
	},
};
