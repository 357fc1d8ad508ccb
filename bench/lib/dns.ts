import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { Bench } from "./bench.ts";
import { act, commandLine, createContainer, type Engine, withConnection } from "./engine.ts";
import type { Connection } from "./http.ts";
import { createNetwork, removeNetwork } from "./networks.ts";

const CLIENT = join(import.meta.dir, "dns-client.ts");
const NETWORK = "foredeck-bench-dns";
const TARGET = "foredeck-bench-dns-target";

/** What both figures of a container's resolver share: one container asks its name server for another one's name, from a process of ours in its network. */
export function containerDns(mode: "rate" | "latency"): Pick<Bench, "prepare" | "measure" | "cleanup"> {
	/** A process of the container that asks, by the engine's name. */
	const pids = new Map<string, number>();
	return {
		prepare: async (engine) => void pids.set(engine.name, await prepare(engine)),
		async measure({ name }) {
			const process = `/proc/${pids.get(name)}`;
			const server = /^nameserver (\S+)/m.exec(readFileSync(`${process}/root/etc/resolv.conf`, "utf8"))?.[1];
			return await runClient(`${process}/ns/net`, [server ?? "", "53", TARGET, mode]);
		},
		cleanup: (engine) => removeNetwork(engine, NETWORK),
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

async function prepare(engine: Engine): Promise<number> {
	// Docker resolves names in networks made by users alone.
	await createNetwork(engine, NETWORK);
	return await withConnection(engine, async (connection) => {
		await start(connection, await createContainer(connection, sleeper(NETWORK, TARGET)));
		const asking = await createContainer(connection, sleeper(NETWORK));
		await start(connection, asking);
		const { State } = (await act(connection, "GET", `/containers/${asking}/json`)) as { State: { Pid: number } };
		return State.Pid;
	});
}

function sleeper(network: string | undefined, name?: string) {
	return { name, command: ["sleep", "1000"], hostConfig: network ? { NetworkMode: network } : {} };
}

async function start(connection: Connection, id: string): Promise<void> {
	await act(connection, "POST", `/containers/${id}/start`);
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
