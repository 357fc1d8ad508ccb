import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import { ask, type Connection, connect, parse } from "./http.ts";

/** An engine to measure, reached through its socket. */
export interface Engine {
	readonly name: string;
	readonly socket: string;
	/** File of the network namespace in which it publishes ports; undefined: this one. */
	readonly netns?: string;
	/** Processes whose trees are the engine. */
	readonly pids: readonly number[];
}

/** Containers made by a bench carry this label, so that what a broken run left can be removed by the next. */
const LABEL = "foredeck-bench";

export interface ContainerOptions {
	readonly name?: string;
	readonly image?: string;
	readonly command?: readonly string[];
	readonly hostConfig?: Record<string, unknown>;
}

/** Creates a container on the engine's default network; its id. */
export async function createContainer(connection: Connection, options: ContainerOptions): Promise<string> {
	const body = {
		Image: options.image ?? "busybox",
		Cmd: options.command,
		Labels: { [LABEL]: "1" },
		// Podman waits for SIGTERM even when it removes by force.
		StopSignal: "SIGKILL",
		HostConfig: options.hostConfig ?? {},
		ExposedPorts: Object.fromEntries(Object.keys(options.hostConfig?.PortBindings ?? {}).map((port) => [port, {}])),
	};
	const query = options.name ? `?name=${options.name}` : "";
	const created = parse(await connection.request("POST", `/v1.43/containers/create${query}`, { body }), "create") as {
		Id: string;
	};
	return created.Id;
}

/** POST or DELETE without a body; throws on an error status. */
export async function act(connection: Connection, method: string, path: string): Promise<unknown> {
	return parse(await connection.request(method, `/v1.43${path}`), `${method} ${path}`);
}

/** Removes every container that a bench made on this engine. */
export async function removeBenchContainers(engine: Engine): Promise<void> {
	const filters = encodeURIComponent(JSON.stringify({ label: [LABEL] }));
	const found = (await ask(engine.socket, "GET", `/v1.43/containers/json?all=1&filters=${filters}`)) as {
		Id: string;
	}[];
	for (const { Id } of found) await ask(engine.socket, "DELETE", `/v1.43/containers/${Id}?force=1&v=1`);
}

export async function withConnection<T>(engine: Engine, use: (connection: Connection) => Promise<T>): Promise<T> {
	const connection = await connect(engine.socket);
	try {
		return await use(connection);
	} finally {
		connection.close();
	}
}

/** The processes that hold the listening socket, as `ss -xlp` finds them: its inode in the namespace's table, then whose fd it is. */
export function listenerOf(socket: string, netns?: string): number[] {
	const enter = netns === undefined ? [] : ["nsenter", `--net=${netns}`];
	const table = Bun.spawnSync([...enter, "cat", "/proc/net/unix"]).stdout.toString();
	const rows = table.split("\n").map((line) => line.trim().split(/\s+/));
	const inodes = new Set(rows.filter((row) => row[7] === socket).map((row) => `socket:[${row[6]}]`));
	return readProcesses().flatMap(({ pid }) => (openFiles(pid).some((file) => inodes.has(file)) ? [pid] : []));
}

function openFiles(pid: number): string[] {
	try {
		return readdirSync(`/proc/${pid}/fd`).map((fd) => readLink(`/proc/${pid}/fd/${fd}`));
	} catch {
		return [];
	}
}

function readLink(path: string): string {
	try {
		return readlinkSync(path);
	} catch {
		return "";
	}
}

/** Foredeck's supervisors are nobody's children: found by their command line, which names the run root. */
export function supervisorsOf(daemonPid: number): number[] {
	const words = commandLine(daemonPid);
	const at = words.indexOf("--run-root");
	const runRoot = at < 0 ? "/run/foredeck" : (words[at + 1] ?? "");
	const pids = readProcesses().map(({ pid }) => pid);
	return pids.filter((pid) => {
		const line = commandLine(pid);
		return line[1] === "supervisor" && line.some((word) => word === runRoot || word.startsWith(`${runRoot}/`));
	});
}

export function readProcesses(): { pid: number; parent: number }[] {
	const { stdout } = Bun.spawnSync(["ps", "-eo", "pid=,ppid="]);
	return stdout
		.toString()
		.split("\n")
		.filter(Boolean)
		.map((line) => line.trim().split(/\s+/).map(Number))
		.map(([pid = 0, parent = 0]) => ({ pid, parent }));
}

export function commandLine(pid: number): string[] {
	try {
		return readFileSync(`/proc/${pid}/cmdline`, "utf8").split("\0");
	} catch {
		return [];
	}
}
