import { existsSync, readFileSync } from "node:fs";
import { release } from "node:os";
import { commandOutput, libraryHas } from "../sys/linux/host-probe.ts";

export type CheckStatus = "ok" | "warn" | "fail";

/** One line of `foredeck doctor`; `advice` says what to do when the status is not ok. */
export interface Check {
	readonly name: string;
	readonly status: CheckStatus;
	readonly found: string;
	readonly advice?: string;
}

/** What the checks look at, apart from the checks themselves so that tests can say what a machine has. */
export interface HostFacts {
	readonly uid: number;
	readonly kernel: string;
	/** Output of `crun --version` and `runc --version`; undefined when not installed. */
	readonly crun?: string;
	readonly runc?: string;
	readonly nftablesLibrary: boolean;
	/** Content of /proc/filesystems, /proc/mounts, /proc/sys/net/ipv4/ip_forward, /etc/resolv.conf; empty when unreadable. */
	readonly filesystems: string;
	/** modules.dep of this kernel: what a mount loads when it is asked for. */
	readonly modules: string;
	readonly mounts: string;
	readonly ipForward: string;
	readonly resolvConf: string;
	/** Whether the kernel has the namespaces that containers need. */
	readonly namespaces: boolean;
}

/**
 * Oldest versions with every fix published until November 2026 that concerns an engine without checkpoints: crun CVE-2026-47766, -88264, -88265;
 * runc CVE-2026-41579 (and CVE-2025-31133, -52565, -52881 before), in three release lines.
 */
const CRUN_FIXED = "1.30";
const RUNC_FIXED = ["1.3.6", "1.4.3", "1.5.0"];

export function examineHost(): Check[] {
	return evaluateHost({
		uid: process.getuid?.() ?? -1,
		kernel: release(),
		crun: commandOutput("crun", ["--version"]),
		runc: commandOutput("runc", ["--version"]),
		nftablesLibrary: libraryHas("libnftables.so.1", "nft_ctx_new"),
		filesystems: readOr("/proc/filesystems"),
		modules: readOr(`/lib/modules/${release()}/modules.dep`),
		mounts: readOr("/proc/mounts"),
		ipForward: readOr("/proc/sys/net/ipv4/ip_forward").trim(),
		resolvConf: readOr("/etc/resolv.conf"),
		namespaces: ["net", "mnt", "pid", "uts", "ipc"].every((kind) => existsSync(`/proc/self/ns/${kind}`)),
	});
}

/** The verdicts, in the order they are shown. */
export function evaluateHost(facts: HostFacts): Check[] {
	return [
		root(facts),
		kernel(facts),
		feature("namespaces", facts.namespaces, "net, mnt, pid, uts, ipc", "the kernel needs CONFIG_NAMESPACES"),
		feature("overlayfs", hasFilesystem(facts, "overlay"), "there", "modprobe overlay"),
		cgroups(facts),
		crun(facts),
		runc(facts),
		feature("libnftables", facts.nftablesLibrary, "libnftables.so.1", "apt-get install libnftables1"),
		ipForward(facts),
		dns(facts),
	];
}

function root({ uid }: HostFacts): Check {
	if (uid === 0) return { name: "user", status: "ok", found: "root" };
	return { name: "user", status: "fail", found: `uid ${uid}`, advice: "the daemon needs root" };
}

/** 5.11: pidfds, clone3, openat2, close_range and overlay in one; the oldest the engine is meant for. */
function kernel({ kernel: version }: HostFacts): Check {
	const status = compareVersions(version, "5.11") >= 0 ? "ok" : "fail";
	return { name: "kernel", status, found: version, advice: status === "ok" ? undefined : "needs Linux 5.11 or newer" };
}

function feature(name: string, present: boolean, found: string, advice: string): Check {
	return present ? { name, status: "ok", found } : { name, status: "fail", found: "missing", advice };
}

function hasFilesystem({ filesystems, modules }: HostFacts, name: string): boolean {
	if (new RegExp(`/${name}\\.ko[.:]`).test(modules)) return true;
	return filesystems.split("\n").some((line) => line.split("\t")[1] === name);
}

function cgroups({ mounts }: HostFacts): Check {
	const points = mounts.split("\n").map((line) => line.split(" "));
	const v2 = points.filter(([, , type]) => type === "cgroup2").map(([, path]) => path);
	const v1 = points.filter(([, , type]) => type === "cgroup").length;
	if (v2.includes("/sys/fs/cgroup")) return { name: "cgroups", status: "ok", found: "v2" };
	if (v1 > 0) {
		const found = v2.length > 0 ? `hybrid (${v1} v1 controllers, v2 at ${v2.join(", ")})` : `v1 (${v1} controllers)`;
		return {
			name: "cgroups",
			status: "warn",
			found,
			advice: "works; kernels booted with systemd.unified_cgroup_hierarchy=1 have v2 alone, which is simpler",
		};
	}
	return { name: "cgroups", status: "fail", found: "not mounted", advice: "mount -t cgroup2 none /sys/fs/cgroup" };
}

function crun({ crun: output, runc: other }: HostFacts): Check {
	const version = output === undefined ? undefined : /crun version (\S+)/.exec(output)?.[1];
	if (version === undefined) {
		const status = other === undefined ? "fail" : "warn";
		return { name: "crun", status, found: "missing", advice: "apt-get install crun" };
	}
	if (compareVersions(version, CRUN_FIXED) >= 0) return { name: "crun", status: "ok", found: version };
	const advice = `older than ${CRUN_FIXED}, the first with the fixes of CVE-2026-47766, -88264 and -88265 (links in an image's /dev): the engine refuses such images itself; take a newer one where there is one`;
	return { name: "crun", status: "warn", found: version, advice };
}

function runc({ runc: output }: HostFacts): Check {
	const version = output === undefined ? undefined : /runc version (\S+)/.exec(output)?.[1];
	if (version === undefined) return { name: "runc", status: "ok", found: "not installed (not needed beside crun)" };
	if (runcHasFixes(version)) return { name: "runc", status: "ok", found: version };
	const advice = `only where a container asks for it: older than ${RUNC_FIXED.join(", ")}, the first with the fixes of CVE-2025-31133, -52565, -52881 and CVE-2026-41579`;
	return { name: "runc", status: "warn", found: version, advice };
}

/** Each release line got its own fix; a line newer than all of them has it from the start. */
function runcHasFixes(version: string): boolean {
	const line = (text: string) => text.split(".").slice(0, 2).join(".");
	const fixed = RUNC_FIXED.find((candidate) => line(candidate) === line(version));
	return compareVersions(version, fixed ?? RUNC_FIXED.at(-1) ?? "0") >= 0;
}

function ipForward({ ipForward: value }: HostFacts): Check {
	if (value === "1") return { name: "ip_forward", status: "ok", found: "on" };
	return {
		name: "ip_forward",
		status: "warn",
		found: value || "unreadable",
		advice: "the daemon turns it on when it starts",
	};
}

function dns({ resolvConf }: HostFacts): Check {
	const servers = [...resolvConf.matchAll(/^nameserver\s+(\S+)/gm)].map((match) => match[1]);
	if (servers.length > 0) return { name: "dns", status: "ok", found: servers.join(", ") };
	return {
		name: "dns",
		status: "warn",
		found: "no nameserver in /etc/resolv.conf",
		advice: "containers will resolve only each other",
	};
}

/** Compares dotted numbers; whatever follows them (`-rc1`, `+ds1`) is ignored. */
export function compareVersions(a: string, b: string): number {
	const numbers = (text: string) => (/^\d+(\.\d+)*/.exec(text)?.[0] ?? "0").split(".").map(Number);
	const [left, right] = [numbers(a), numbers(b)];
	for (let i = 0; i < Math.max(left.length, right.length); i++) {
		const difference = (left[i] ?? 0) - (right[i] ?? 0);
		if (difference !== 0) return difference;
	}
	return 0;
}

function readOr(path: string): string {
	try {
		return readFileSync(path, "utf8");
	} catch {
		return "";
	}
}
