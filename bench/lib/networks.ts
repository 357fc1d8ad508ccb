import { act, type Engine, withConnection } from "./engine.ts";
import { type Connection, succeed } from "./http.ts";

/** Makes a network, or takes the one that a run which was cut off has left. */
export async function createNetwork(engine: Engine, name: string, more: { Internal?: boolean } = {}): Promise<void> {
	await withConnection(engine, async (connection) => {
		const made = await connection.request("POST", "/v1.43/networks/create", { body: { Name: name, ...more } });
		if (made.status !== 409) succeed(made, `create network ${name}`);
	});
}

/** Its containers go first. Throws when there is no such network. */
export async function removeNetwork(engine: Engine, name: string): Promise<void> {
	await withConnection(engine, async (connection) => {
		const found = (await act(connection, "GET", `/networks/${name}`)) as { Containers?: Record<string, unknown> };
		for (const id of Object.keys(found.Containers ?? {})) await act(connection, "DELETE", `/containers/${id}?force=1`);
		succeed(await connection.request("DELETE", `/v1.43/networks/${name}`), `remove network ${name}`);
	});
}

/** The address that a running container has on a network. */
export async function addressOn(connection: Connection, id: string, network: string): Promise<string> {
	const { NetworkSettings } = (await act(connection, "GET", `/containers/${id}/json`)) as {
		NetworkSettings: { Networks: Record<string, { IPAddress: string }> };
	};
	const address = NetworkSettings.Networks[network]?.IPAddress;
	if (!address) throw new Error(`container ${id} has no address on ${network}`);
	return address;
}
