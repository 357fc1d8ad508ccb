import { createHash } from "node:crypto";
import { existsSync, readdirSync, readFileSync, statfsSync } from "node:fs";
import { arch, cpus, hostname, machine, release, totalmem } from "node:os";
import { basename } from "node:path";
import { installedInit } from "../engine/containers/init.ts";
import type { SystemFacts } from "../engine/system.ts";
import { hasAppArmor } from "../sys/linux/apparmor.ts";
import { cgroupFeatures } from "../sys/linux/cgroup-features.ts";
import { knowsLinkKind } from "../sys/linux/link.ts";
import { RouteSocket } from "../sys/linux/netlink.ts";
import { profileName } from "./apparmor.ts";

/** Reads what the machine is. `build` comes from the caller, who knows it. */
export function gatherSystemFacts(build: {
	version: string;
	gitCommit: string;
	buildTime: string;
	dataRoot: string;
	instance: string;
	insecureRegistries: readonly string[];
	runtimes: SystemFacts["runtimes"];
}): SystemFacts {
	const os = parseOsRelease(readText("/etc/os-release"));
	return {
		id: engineId(build.instance),
		version: build.version,
		gitCommit: build.gitCommit,
		buildTime: build.buildTime,
		hostname: hostname(),
		kernelVersion: release(),
		operatingSystem: os.PRETTY_NAME ?? "Linux",
		osVersion: os.VERSION_ID ?? "",
		arch: arch() === "x64" ? "amd64" : arch(),
		machine: machine(),
		cpus: cpus().length,
		memory: totalmem(),
		cgroupVersion: existsSync("/sys/fs/cgroup/cgroup.controllers") ? "2" : "1",
		limits: {
			...cgroupFeatures(),
			kernelMemory: existsSync("/sys/fs/cgroup/memory/memory.kmem.limit_in_bytes"),
		},
		cgroupDriver: "cgroupfs",
		...(hasAppArmor() && { apparmorProfile: profileName(build.instance) }),
		securityOptions: securityOptions(),
		dataRoot: build.dataRoot,
		networkDrivers: networkDrivers(),
		insecureRegistries: build.insecureRegistries,
		storageDriver: "overlay2",
		backingFilesystem: filesystemName(statfsSync(build.dataRoot).type),
		initBinary: basename(installedInit() ?? ""),
		runtimes: build.runtimes,
		openFiles: () => readdirSync("/proc/self/fd").length,
		ipv4Forwarding: () => readText("/proc/sys/net/ipv4/ip_forward").trim() === "1",
	};
}

/** Those whose interfaces the kernel has, or has a module for, which is not loaded for this. */
function networkDrivers(): string[] {
	const modules = readText(`/lib/modules/${release()}/modules.dep`);
	using socket = new RouteSocket();
	const has = (kind: "ipvlan" | "macvlan") => modules.includes(`/${kind}.ko`) || knowsLinkKind(socket, kind);
	return ["bridge", "host", ...(["ipvlan", "macvlan"] as const).filter(has), "null"];
}

/** `NAME="value"` lines of os-release(5). */
export function parseOsRelease(text: string): Record<string, string> {
	const entries = text.split("\n").flatMap((line) => {
		const match = /^([A-Z_]+)=(?:"(.*)"|'(.*)'|(.*))$/.exec(line.trim());
		return match ? [[match[1], match[2] ?? match[3] ?? match[4] ?? ""]] : [];
	});
	return Object.fromEntries(entries);
}

/** Magic numbers of statfs(2); ext2 to ext4 share one. */
const FILESYSTEMS: Record<number, string> = {
	61267: "extfs",
	1481003842: "xfs",
	2435016766: "btrfs",
	16914836: "tmpfs",
	2035054128: "overlayfs",
	801189825: "zfs",
	4076150800: "f2fs",
};

/** docker's name of a file system by its magic number. */
export function filesystemName(magic: number): string {
	return FILESYSTEMS[magic >>> 0] ?? "<unknown>";
}

function securityOptions(): string[] {
	const options: string[] = [];
	if (hasAppArmor()) options.push("name=apparmor");
	if (/^Seccomp:/m.test(readText("/proc/self/status"))) options.push("name=seccomp,profile=builtin");
	if (existsSync("/sys/fs/cgroup/cgroup.controllers")) options.push("name=cgroupns");
	return options;
}

/** A UUID made of the machine's id and the instance: the same after each start, telling nothing about the machine. */
function engineId(instance: string): string {
	const seed = readText("/etc/machine-id").trim() || hostname();
	const hex = createHash("sha256").update(`foredeck:${seed}:${instance}`).digest("hex");
	return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20, 32)].join("-");
}

function readText(path: string): string {
	try {
		return readFileSync(path, "utf8");
	} catch {
		return "";
	}
}
