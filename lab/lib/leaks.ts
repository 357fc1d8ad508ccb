import { spawnSync } from "node:child_process";
import { readdirSync, readFileSync, statSync } from "node:fs";

/** What an engine instance may leave on a machine. */
export interface Traces {
	readonly processes: readonly string[];
	readonly mounts: readonly string[];
	readonly interfaces: readonly string[];
	readonly namespaces: readonly string[];
	readonly nftTables: readonly string[];
	readonly cgroups: readonly string[];
}

/** Everything found now that bears the instance's name or lies below its directory. Empty lists: clean. */
export function findTraces(instance: string, directory: string): Traces {
	return {
		processes: processesOf(directory),
		mounts: mountsBelow(directory),
		interfaces: newInterfaces(instance),
		namespaces: namespaceFiles(instance),
		nftTables: nftTables(instance),
		cgroups: cgroups(instance),
	};
}

/** One line per trace, for a report. */
export function listTraces(traces: Traces): string[] {
	return Object.entries(traces).flatMap(([kind, found]) => found.map((what: string) => `${kind}: ${what}`));
}

export function isAlive(pid: number): boolean {
	try {
		// a zombie has ended, though its parent has not looked yet
		return !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, "utf8"));
	} catch {
		return false;
	}
}

/** Processes whose command line names the instance's directory, and those whose root lies below it (a container's). */
function processesOf(directory: string): string[] {
	const pids = readdirSync("/proc").filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid);
	return pids.flatMap((pid) => {
		const command = readOr(`/proc/${pid}/cmdline`).replaceAll("\0", " ").trim();
		const mounts = readOr(`/proc/${pid}/mountinfo`);
		const rootMount = mounts.split("\n").find((line) => line.split(" ")[4] === "/") ?? "";
		return command.includes(directory) || rootMount.includes(directory) ? [`${pid} ${command}`] : [];
	});
}

function mountsBelow(directory: string): string[] {
	const paths = readOr("/proc/self/mounts")
		.split("\n")
		.map((line) => line.split(" ")[1] ?? "");
	return paths.filter((path) => path.startsWith(`${directory}/`));
}

/** Interfaces carry the instance in their name or, bridges of the user's networks, in their alias; containers' ends of veths are gone with their namespaces. */
function newInterfaces(instance: string): string[] {
	return readdirSync("/sys/class/net").filter(
		(name) => name.includes(instance) || readOr(`/sys/class/net/${name}/ifalias`).trim() === `foredeck ${instance}`,
	);
}

function namespaceFiles(instance: string): string[] {
	return ["/run/netns", "/var/run/docker/netns"].flatMap((path) =>
		namesIn(path)
			.filter((name) => name.includes(instance))
			.map((name) => `${path}/${name}`),
	);
}

function nftTables(instance: string): string[] {
	const { stdout } = spawnSync("nft", ["list", "tables"], { encoding: "utf8" });
	return (stdout ?? "")
		.split("\n")
		.filter((line) => line.endsWith(`foredeck-${instance}`) || line.includes(`foredeck-${instance}-`));
}

function cgroups(instance: string): string[] {
	const pattern = new RegExp(`(^|[-_.])${instance}($|[-_.])`);
	const controllers = ["/sys/fs/cgroup", ...namesIn("/sys/fs/cgroup").map((name) => `/sys/fs/cgroup/${name}`)];
	const below = (path: string) =>
		namesIn(path)
			.map((name) => `${path}/${name}`)
			.filter((child) => isDirectory(child));
	const found = controllers
		.filter(isDirectory)
		.flatMap((root) => below(root).flatMap((child) => [child, ...below(child)]));
	return [...new Set(found)].filter((path) => pattern.test(path.slice(path.lastIndexOf("/") + 1)));
}

function namesIn(path: string): string[] {
	try {
		return readdirSync(path);
	} catch {
		return [];
	}
}

function isDirectory(path: string): boolean {
	try {
		return statSync(path).isDirectory();
	} catch {
		return false;
	}
}

function readOr(path: string): string {
	try {
		return readFileSync(path, "utf8");
	} catch {
		return "";
	}
}
