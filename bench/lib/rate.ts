import type { Engine } from "./engine.ts";
import { connect } from "./http.ts";

const CONNECTIONS = 8;

/** Requests per second that eight keep-alive connections get answered within `forMs`. */
export async function requestRate(engine: Engine, path: string, forMs: number): Promise<number> {
	const connections = await Promise.all(Array.from({ length: CONNECTIONS }, () => connect(engine.socket)));
	const begin = performance.now();
	const until = begin + forMs;
	let answered = 0;
	const loop = async (connection: Awaited<ReturnType<typeof connect>>) => {
		while (performance.now() < until) {
			const { status } = await connection.request("GET", path);
			if (status !== 200) throw new Error(`GET ${path}: ${status}`);
			answered += 1;
		}
	};
	try {
		await Promise.all(connections.map(loop));
		return answered / ((performance.now() - begin) / 1000);
	} finally {
		for (const connection of connections) connection.close();
	}
}
