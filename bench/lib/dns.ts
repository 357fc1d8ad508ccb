import { join } from "node:path";
import type { Bench } from "./bench.ts";
import { act, commandLine, createContainer, type Engine, withConnection } from "./engine.ts";
import { parse } from "./http.ts";

const CLIENT = join(import.meta.dir, "dns-client.ts");
const NETWORK = "foredeck-bench-dns";
const TARGET = "foredeck-bench-dns-target";

interface Prepared {
	/** A process of the container that asks. */
	readonly pid: number;
	/** The network made for this; undefined: the default one. */
	readonly network?: string;
}

/** What both figures of a container's resolver share: one container asks 127.0.0.11 for another one's name, from a process of ours in its network. */
export function containerDns(mode: "rate" | "latency"): Pick<Bench, "prepare" | "measure" | "cleanup"> {
	const prepared = new Map<string, Prepared>();
	return {
		prepare: async (engine) => void prepared.set(engine.name, await prepare(engine)),
		async measure(engine) {
			const { pid } = prepared.get(engine.name) ?? { pid: 0 };
			return await runClient(`/proc/${pid}/ns/net`, ["127.0.0.11", "53", TARGET, mode]);
		},
		async cleanup(engine) {
			const { network } = prepared.get(engine.name) ?? {};
			if (network) await withConnection(engine, (connection) => removeNetwork(connection, network));
		},
	};
}

/** Asks the resolver that a Foredeck engine has for its host. Other engines have none. */
export function hostDns(mode: "rate" | "latency"): Pick<Bench, "prepare" | "measure"> {
	return {
		prepare: async (engine) => {
			if (!isForedeck(engine)) throw new Error("has no resolver for the host");
			await withConnection(engine, async (connection) => {
				await start(connection, await createContainer(connection, sleeper(undefined, TARGET)));
			});
		},
		measure: async (engine) => {
			const [address = "", port = ""] = flagOf(engine, "--dns", "127.0.0.153:53").split(":");
			const name = `${TARGET}.${flagOf(engine, "--domain", "fd.local")}`;
			return await runClient(engine.netns, [address, port, name, mode]);
		},
	};
}

type Connection = Parameters<Parameters<typeof withConnection>[1]>[0];

async function prepare(engine: Engine): Promise<Prepared> {
	return await withConnection(engine, async (connection) => {
		// Docker resolves names in networks made by users alone.
		const made = await connection.request("POST", "/v1.43/networks/create", { body: { Name: NETWORK } });
		// 409: left by a run that was cut off
		const network = made.status === 201 || made.status === 409 ? NETWORK : undefined;
		await start(connection, await createContainer(connection, sleeper(network, TARGET)));
		const asking = await createContainer(connection, sleeper(network));
		await start(connection, asking);
		const { State } = (await act(connection, "GET", `/containers/${asking}/json`)) as { State: { Pid: number } };
		return { pid: State.Pid, network };
	});
}

function sleeper(network: string | undefined, name?: string) {
	return { name, command: ["sleep", "1000"], hostConfig: network ? { NetworkMode: network } : {} };
}

async function start(connection: Connection, id: string): Promise<void> {
	await act(connection, "POST", `/containers/${id}/start`);
}

/** The network's containers go first. */
async function removeNetwork(connection: Connection, network: string): Promise<void> {
	const found = (await act(connection, "GET", `/networks/${network}`)) as { Containers?: Record<string, unknown> };
	for (const id of Object.keys(found.Containers ?? {})) await act(connection, "DELETE", `/containers/${id}?force=1`);
	parse(await connection.request("DELETE", `/v1.43/networks/${network}`), "remove network");
}

async function runClient(netns: string | undefined, args: readonly string[]): Promise<number> {
	const enter = netns === undefined ? [] : ["nsenter", `--net=${netns}`];
	const child = Bun.spawn([...enter, process.execPath, CLIENT, ...args], { stdout: "pipe", stderr: "pipe" });
	const [out, problem] = [await new Response(child.stdout).text(), await new Response(child.stderr).text()];
	if ((await child.exited) !== 0) throw new Error(`dns client: ${problem.slice(0, 200)}`);
	return Number(out);
}

function isForedeck(engine: Engine): boolean {
	return engine.pids.some((pid) => commandLine(pid).includes("daemon"));
}

function flagOf(engine: Engine, flag: string, fallback: string): string {
	for (const pid of engine.pids) {
		const words = commandLine(pid);
		const at = words.indexOf(flag);
		if (at >= 0) return words[at + 1] ?? fallback;
	}
	return fallback;
}
