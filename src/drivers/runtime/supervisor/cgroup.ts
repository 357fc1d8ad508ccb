import { existsSync, readdirSync, readFileSync, rmdirSync, writeFileSync } from "node:fs";
import { killProcess } from "../../../sys/linux/process.ts";

/** One container's cgroup in every mounted hierarchy, by the path in its spec. Works on v1 and v2. */
export interface Cgroup {
	/** Pids in the container, nested cgroups included. */
	pids(): number[];
	freeze(): Promise<void>;
	thaw(): void;
	/** Takes the limit of processes away: crun writes no `max`. */
	unlimitPids(): void;
	/** Likewise the quota of processor time. */
	unlimitCpu(): void;
	/** How often the kernel killed in it for lack of memory. */
	oomKills(): number;
	/** Kills what is left and removes the directories. */
	remove(): Promise<void>;
}

/** Mount points by controller; `unified` is v2. */
export type CgroupMounts = ReadonlyMap<string, string>;

/** @param mounts text of /proc/self/mounts */
export function parseCgroupMounts(mounts: string): CgroupMounts {
	const found = new Map<string, string>();
	for (const line of mounts.split("\n")) {
		const [, at = "", type, options = ""] = line.split(" ");
		if (type === "cgroup2") found.set("unified", at);
		if (type !== "cgroup") continue;
		for (const option of options.split(",")) {
			if (V1_CONTROLLERS.has(option) || option.startsWith("name=")) found.set(option, at);
		}
	}
	return found;
}

const V1_CONTROLLERS = new Set(
	"cpu cpuacct cpuset memory devices freezer blkio pids net_cls net_prio perf_event hugetlb rdma misc".split(" "),
);
const SIGKILL = 9;
const FREEZE_TRIES = 120;
const FREEZE_WAIT_MS = 16;

/** @param path as in the spec's cgroupsPath, absolute below each mount */
export function openCgroup(mounts: CgroupMounts, path: string): Cgroup {
	const directories = [...new Set(mounts.values())].map((mount) => `${mount}/${path}`.replace(/\/+/g, "/"));
	const at = (controller: string) => `${mounts.get(controller) ?? mounts.get("unified") ?? ""}/${path}`;
	const pids = () => [...tree(at("pids"))].flatMap(processesIn);
	const cgroup: Cgroup = {
		pids,
		async freeze() {
			if (!mounts.has("freezer")) return void writeFileSync(`${at("unified")}/cgroup.freeze`, "1");
			await freezeV1(`${at("freezer")}/freezer.state`);
		},
		thaw() {
			if (mounts.has("freezer")) writeQuietly(`${at("freezer")}/freezer.state`, "THAWED");
			else writeQuietly(`${at("unified")}/cgroup.freeze`, "0");
		},
		unlimitCpu() {
			if (mounts.has("cpu")) writeFileSync(`${at("cpu")}/cpu.cfs_quota_us`, "-1");
			else writeFileSync(`${at("unified")}/cpu.max`, "max");
		},
		unlimitPids: () => writeFileSync(`${at("pids")}/pids.max`, "max"),
		oomKills() {
			const file = mounts.has("memory") ? `${at("memory")}/memory.oom_control` : `${at("unified")}/memory.events`;
			return Number(/^oom_kill (\d+)/m.exec(readQuietly(file))?.[1] ?? 0);
		},
		async remove() {
			// A zombie holds its cgroup until it is reaped: a few tries, the first of which nearly always does it.
			for (let wait = 1; wait < 200; wait *= 2) {
				for (const pid of pids()) killProcess(pid, SIGKILL);
				if (directories.map(removeTree).every((gone) => gone)) return;
				await Bun.sleep(wait);
			}
			throw new Error(`cannot remove cgroup ${path}: processes are left in it: ${pids().join(" ") || "none seen"}`);
		},
	};
	return cgroup;
}

/** Whether it is there in any hierarchy. */
export function cgroupExists(mounts: CgroupMounts, path: string): boolean {
	return [...mounts.values()].some((mount) => existsSync(`${mount}${path}`));
}

/** The ancestors of a cgroup that are not there in every hierarchy, deepest first: its start will make them. */
export function missingAncestors(mounts: CgroupMounts, path: string): string[] {
	const missing = (ancestor: string) => [...mounts.values()].some((mount) => !existsSync(`${mount}${ancestor}`));
	return ancestorsOf(path).filter(missing);
}

/**
 * Parents that a client named and nobody else made, deepest first.
 * @param own stays: each of the engine's containers would make it again
 * @param neighbours what other containers made
 */
export function parentsToMake(
	mounts: CgroupMounts,
	path: string,
	own: string,
	neighbours: readonly string[],
): readonly string[] {
	if (path.startsWith(`${own}/`)) return [];
	const above = neighbours.filter((neighbour) => path.startsWith(`${neighbour}/`));
	return [...new Set([...missingAncestors(mounts, path), ...above])].sort((a, b) => b.length - a.length);
}

/** Removes those that hold nothing any more. */
export function removeEmptyCgroups(mounts: CgroupMounts, paths: readonly string[]): void {
	for (const path of paths) for (const mount of new Set(mounts.values())) removeOne(`${mount}${path}`);
}

/** `/a/b` and `/a` of `/a/b/c`. */
function ancestorsOf(path: string): string[] {
	const parts = path.split("/").filter(Boolean);
	return parts.slice(1).map((_part, index) => `/${parts.slice(0, parts.length - 1 - index).join("/")}`);
}

/** A directory and all below it, deepest first. */
function* tree(directory: string): Generator<string> {
	let entries: string[];
	try {
		entries = readdirSync(directory, { withFileTypes: true }).flatMap((entry) =>
			entry.isDirectory() ? [entry.name] : [],
		);
	} catch {
		return;
	}
	for (const name of entries) yield* tree(`${directory}/${name}`);
	yield directory;
}

function processesIn(directory: string): number[] {
	return readQuietly(`${directory}/cgroup.procs`).split("\n").filter(Boolean).map(Number);
}

/** Removing the top alone costs one call in the usual case; only a refusal makes us look for nested ones. */
function removeTree(directory: string): boolean {
	if (removeOne(directory)) return true;
	return [...tree(directory)].map(removeOne).every((gone) => gone);
}

function removeOne(directory: string): boolean {
	try {
		rmdirSync(directory);
		return true;
	} catch (error) {
		return (error as NodeJS.ErrnoException).code === "ENOENT";
	}
}

/**
 * Resolves when all have stopped; where they do not, they go on. A program with threads that is just calling execve(2), as runc at the end of a
 * start, waits for its other threads to end, which are frozen, and is not frozen itself: it is let go and tried again. Source: runc, which does so too.
 */
async function freezeV1(file: string): Promise<void> {
	for (let tries = 0; tries < FREEZE_TRIES; tries++) {
		writeFileSync(file, "FROZEN");
		for (let wait = 1; wait < FREEZE_WAIT_MS; wait *= 2) {
			if (readFileSync(file, "utf8").trim() === "FROZEN") return;
			await Bun.sleep(wait);
		}
		writeFileSync(file, "THAWED");
		await Bun.sleep(1);
	}
	throw new Error(`cannot freeze: ${file} does not come to FROZEN`);
}

function readQuietly(file: string): string {
	try {
		return readFileSync(file, "utf8");
	} catch {
		return "";
	}
}

function writeQuietly(file: string, text: string): void {
	try {
		writeFileSync(file, text);
	} catch {
		// the cgroup is gone: nothing in it is frozen
	}
}
