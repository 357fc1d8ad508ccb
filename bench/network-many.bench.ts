import type { Bench } from "./lib/bench.ts";
import { act, withConnection } from "./lib/engine.ts";
import { type Connection, succeed } from "./lib/http.ts";

const COUNT = 150;
const NAME = "foredeck-bench-many";

/** Subnets of its own: the default pools of docker are of 31 networks. */
function create(connection: Connection, number: number): Promise<unknown> {
	const body = { Name: `${NAME}-${number}`, IPAM: { Config: [{ Subnet: `10.199.${number}.0/24` }] } };
	return connection.request("POST", "/v1.43/networks/create", { body }).then((made) => {
		if (made.status !== 409) succeed(made, "create network");
	});
}

export const bench: Bench = {
	title: `network create+remove beside ${COUNT} others`,
	unit: "ms",
	better: "lower",
	rounds: 10,
	goal: 0.05,
	prepare: (engine) =>
		withConnection(engine, async (connection) => {
			for (let number = 0; number < COUNT; number++) await create(connection, number);
		}),
	measure: (engine) =>
		withConnection(engine, async (connection) => {
			const begin = performance.now();
			await create(connection, COUNT);
			await act(connection, "DELETE", `/networks/${NAME}-${COUNT}`);
			return performance.now() - begin;
		}),
	cleanup: (engine) =>
		withConnection(engine, async (connection) => {
			for (let number = 0; number < COUNT; number++) await act(connection, "DELETE", `/networks/${NAME}-${number}`);
		}),
};
