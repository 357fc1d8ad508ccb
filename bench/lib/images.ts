import { readFileSync } from "node:fs";
import type { Engine } from "./engine.ts";
import { connect } from "./http.ts";

/** POST /images/create; throws with the error line of the progress stream. Returns the milliseconds until the stream's end. */
export async function pull(engine: Engine, name: string): Promise<number> {
	const query = `fromImage=${encodeURIComponent(name)}&tag=latest`;
	return await stream(engine, `/v1.43/images/create?${query}`, `pull ${name}`);
}

/** POST /images/NAME/push; as `pull`. */
export async function push(engine: Engine, name: string): Promise<number> {
	const auth = { "X-Registry-Auth": Buffer.from("{}").toString("base64") };
	return await stream(engine, `/v1.43/images/${name}/push?tag=latest`, `push ${name}`, { headers: auth });
}

/** POST /images/load of an archive in memory; milliseconds. */
export async function load(engine: Engine, archive: Buffer): Promise<number> {
	return await stream(engine, "/v1.43/images/load?quiet=1", "load", {
		body: new Uint8Array(archive),
		headers: { "Content-Type": "application/x-tar" },
	});
}

/** The tag of an image that is loaded from a docker-archive where the engine does not have it. */
export async function loadArchive(engine: Engine, tag: string, make: () => Promise<string>): Promise<string> {
	const known = await fetch(`http://localhost/v1.43/images/${tag}/json`, { unix: engine.socket });
	if (!known.ok) await load(engine, readFileSync(await make()));
	return tag;
}

/** GET /images/NAME/get, read to its end; milliseconds. */
export async function save(engine: Engine, name: string): Promise<number> {
	const begin = performance.now();
	const reply = await fetch(`http://localhost/v1.43/images/${name}/get`, { unix: engine.socket });
	if (!reply.ok) throw new Error(`save ${name}: ${reply.status} ${await reply.text()}`);
	let bytes = 0;
	for await (const chunk of reply.body ?? []) bytes += chunk.length;
	if (bytes === 0) throw new Error(`save ${name}: no bytes`);
	return performance.now() - begin;
}

/** Deletes an image by force; no matter if it is not there. */
export async function removeImage(engine: Engine, name: string): Promise<void> {
	const connection = await connect(engine.socket);
	await connection.request("DELETE", `/v1.43/images/${name}?force=1`);
	connection.close();
}

async function stream(engine: Engine, path: string, what: string, init: BunFetchRequestInit = {}): Promise<number> {
	const begin = performance.now();
	const reply = await fetch(`http://localhost${path}`, { method: "POST", unix: engine.socket, ...init });
	const text = await reply.text();
	const milliseconds = performance.now() - begin;
	const error = /"error":\s*"((?:[^"\\]|\\.)*)"/.exec(text)?.[1];
	if (!reply.ok || error !== undefined) throw new Error(`${what}: ${reply.status} ${error ?? text.slice(-300)}`);
	return milliseconds;
}
