export const RUNNING = "fuzz-up";
export const STOPPED = "fuzz-down";

/** What requests are aimed at. */
export interface World {
	/** Puts back what a request has changed: one container that runs, one that does not, an exec to start. Returns the exec's id. */
	restore(): Promise<string>;
	/** Calls the API; throws unless it answers below 400 or with one of `also`. */
	call(method: string, path: string, body?: object, also?: readonly number[]): Promise<unknown>;
}

interface Row {
	readonly Names: readonly string[];
	readonly State: string;
	readonly NetworkSettings: { readonly Networks: Readonly<Record<string, unknown>> };
}

interface Inspected {
	readonly State?: { readonly StartedAt: string };
}

/** @param socket path of the engine's unix socket */
export function createWorld(socket: string): World {
	const call: World["call"] = async (method, path, body, also = []) => {
		const headers = body ? { "content-type": "application/json" } : {};
		const init = {
			method,
			unix: socket,
			headers,
			body: body && JSON.stringify(body),
			signal: AbortSignal.timeout(10_000),
		};
		const reply = await fetch(`http://d/v1.51${path}`, init as RequestInit);
		const text = await reply.text();
		if (reply.status >= 400 && !also.includes(reply.status))
			throw new Error(`${method} ${path}: ${reply.status} ${text}`);
		return text.startsWith("{") || text.startsWith("[") ? JSON.parse(text) : text;
	};
	const create = async (name: string, command: readonly string[]) =>
		await call("POST", `/containers/create?name=${name}`, { Image: "busybox", Cmd: command });

	/** Names, states, networks; and since when the one runs: a restart may not have been answered by a process that listens yet. */
	const state = async () => {
		const rows = (await call("GET", "/containers/json?all=1")) as Row[];
		const all = rows.map((row) => [row.Names[0], row.State, Object.keys(row.NetworkSettings.Networks)].join(" "));
		const inspected = (await call("GET", `/containers/${RUNNING}/json`, undefined, [404])) as Inspected;
		return [...all.sort(), inspected.State?.StartedAt];
	};
	let wanted: unknown[] | undefined;
	/** It obeys signals once it has said so. */
	const ready = async () => {
		for (let tries = 0; tries < 1000; tries++) {
			if (String(await call("GET", `/containers/${RUNNING}/logs?stdout=1`)).includes("ready")) return;
			await Bun.sleep(2);
		}
		throw new Error(`${RUNNING} did not get ready`);
	};
	return {
		call,
		async restore() {
			if (wanted === undefined || !Bun.deepEquals(await state(), wanted)) {
				const rows = (await call("GET", "/containers/json?all=1")) as { Id: string }[];
				for (const { Id } of rows) await call("DELETE", `/containers/${Id}?force=1&v=1`, undefined, [404, 409]);
				await create(STOPPED, ["true"]);
				await create(RUNNING, [
					"sh",
					"-c",
					"trap 'exit 0' $(seq 1 8) $(seq 10 15) 24 $(seq 30 31); sleep 1000 & echo ready; wait",
				]);
				await call("POST", `/containers/${RUNNING}/start`);
				await ready();
				wanted = await state();
			}
			const made = (await call("POST", `/containers/${RUNNING}/exec`, { Cmd: ["true"] })) as { Id: string };
			return made.Id;
		},
	};
}
