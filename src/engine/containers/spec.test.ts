import { expect, test } from "bun:test";
import { DEFAULT_CAPABILITIES } from "./capabilities.ts";
import type { HostConfig } from "./config.ts";
import type { AskedMount } from "./mounts.ts";
import type { ContainerRecord } from "./record.ts";
import { DEFAULT_DEVICE_RULES } from "./resources.ts";
import { MASKED_PATHS, READONLY_PATHS, runtimeSpec, type SpecFacts, seccompOf } from "./spec.ts";
import { containerConfig, containerRecord, hostConfig } from "./testing/fakes.ts";

function specOf(host: Partial<HostConfig> = {}, record: Partial<ContainerRecord> = {}, facts: Partial<SpecFacts> = {}) {
	const asked = hostConfig(host);
	return runtimeSpec(containerRecord({ hostConfig: asked, ...record }), {
		rootPath: "/root",
		directory: "/files",
		instance: "fd",
		cgroupVersion: 1,
		user: { uid: 0, gid: 0, additionalGids: [0], home: "/root" },
		sandboxPath: "/ns",
		mounts: [],
		devices: { devices: [], rules: [] },
		hostDevices: [{ type: "c", path: "/dev/kmsg", major: 1, minor: 11 }],
		capabilities: DEFAULT_CAPABILITIES.concat("CAP_SYS_ADMIN"),
		...facts,
	});
}

const types = (spec: ReturnType<typeof specOf>) => spec.linux.namespaces.map(({ type }) => type).toSorted();
const optionsOf = (spec: ReturnType<typeof specOf>, destination: string) =>
	spec.mounts.find((mount) => mount.destination === destination)?.options;

test("the default spec is moby's", () => {
	const spec = specOf();
	expect(spec.process).toEqual({
		terminal: false,
		user: { uid: 0, gid: 0, additionalGids: [0] },
		args: ["run"],
		env: ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOSTNAME=host1", "HOME=/root"],
		cwd: "/",
		capabilities: {
			bounding: [...DEFAULT_CAPABILITIES],
			effective: [...DEFAULT_CAPABILITIES],
			permitted: [...DEFAULT_CAPABILITIES],
		},
		noNewPrivileges: false,
		oomScoreAdj: 0,
	});
	expect(spec.process.capabilities?.bounding).toHaveLength(14);
	expect(spec.linux).toEqual({
		cgroupsPath: `/foredeck-fd/${"c".repeat(64)}`,
		namespaces: [
			{ type: "mount" },
			{ type: "network", path: "/ns" },
			{ type: "uts" },
			{ type: "pid" },
			{ type: "ipc" },
		],
		resources: { devices: DEFAULT_DEVICE_RULES },
		devices: [],
		maskedPaths: [...MASKED_PATHS],
		readonlyPaths: [...READONLY_PATHS],
		sysctl: {},
		rootfsPropagation: "rprivate",
	});
	expect(seccompOf(containerRecord(), DEFAULT_CAPABILITIES).profile).toBe("default");
	expect(spec.mounts.map(({ destination, type, options }) => [destination, type, ...options].join(" "))).toEqual([
		"/proc proc nosuid noexec nodev",
		"/dev tmpfs nosuid strictatime mode=755 size=65536k",
		"/dev/pts devpts nosuid noexec newinstance ptmxmode=0666 mode=0620 gid=5",
		"/sys sysfs nosuid noexec nodev ro",
		"/sys/fs/cgroup cgroup ro nosuid noexec nodev",
		"/dev/mqueue mqueue nosuid noexec nodev",
		"/dev/shm tmpfs nosuid noexec nodev mode=1777 size=67108864",
		"/etc/resolv.conf bind rbind rprivate rw",
		"/etc/hostname bind rbind rprivate rw",
		"/etc/hosts bind rbind rprivate rw",
	]);
});

test("a user other than root has no effective capability, and nobody an inheritable one", () => {
	const user = { uid: 7, gid: 8, additionalGids: [8], home: "/web" };
	const { capabilities, user: shown } = specOf({}, {}, { user }).process;
	expect(capabilities).toEqual({ bounding: [...DEFAULT_CAPABILITIES], effective: [], permitted: [] });
	expect(shown).toEqual({ uid: 7, gid: 8, additionalGids: [8] });
});

test("privileged: all capabilities there are, all devices, nothing masked, no filter, a writable /sys", () => {
	const spec = specOf({ Privileged: true });
	expect(spec.process.capabilities?.bounding).toContain("CAP_SYS_ADMIN");
	expect(spec.linux.resources.devices).toEqual([{ allow: true, access: "rwm" }]);
	expect(spec.linux.devices?.map(({ path }) => path)).toEqual(["/dev/kmsg"]);
	expect([spec.linux.maskedPaths, spec.linux.readonlyPaths, spec.annotations]).toEqual([[], [], {}]);
	expect(optionsOf(spec, "/sys")).toContain("rw");
});

test("namespaces of the host are not made anew", () => {
	expect(types(specOf({ PidMode: "host" }))).toEqual(["ipc", "mount", "network", "uts"]);
	expect(types(specOf({ IpcMode: "host" }))).toEqual(["mount", "network", "pid", "uts"]);
	expect(types(specOf({ UTSMode: "host" }))).toEqual(["ipc", "mount", "network", "pid"]);
	const host = specOf({ NetworkMode: "host" }, {}, { sandboxPath: undefined });
	expect(types(host)).toEqual(["ipc", "mount", "pid"]);
	expect(host.hostname).toBeUndefined();
});

test("the cgroup namespace is private with v2, unless privileged or told otherwise", () => {
	const v2 = { cgroupVersion: 2 as const };
	expect(types(specOf({}, {}, v2))).toContain("cgroup");
	expect(types(specOf({ CgroupnsMode: "host" }, {}, v2))).not.toContain("cgroup");
	expect(types(specOf({ Privileged: true }, {}, v2))).not.toContain("cgroup");
	expect(types(specOf({ CgroupnsMode: "private" }))).toContain("cgroup");
});

test("limits reach the spec in the kernel's units", () => {
	const spec = specOf({
		Memory: 64 << 20,
		NanoCpus: 1_500_000_000,
		PidsLimit: 20,
		CpusetCpus: "0",
		Ulimits: [{ Name: "nofile", Soft: 10, Hard: 20 }],
	});
	expect(spec.linux.resources).toMatchObject({
		memory: { limit: 64 << 20, swap: 128 << 20 },
		cpu: { period: 100_000, quota: 150_000, cpus: "0" },
		pids: { limit: 20 },
	});
	expect(spec.process.rlimits).toEqual([{ type: "RLIMIT_NOFILE", soft: 10, hard: 20 }]);
	expect(specOf({ PidsLimit: -1 }).linux.resources.pids).toBeUndefined();
});

test("a tty has TERM and its size; an init goes before the command", () => {
	const config = containerConfig({ Tty: true, Hostname: "h" });
	const { process } = specOf({ ConsoleSize: [24, 80] }, { config, hostConfig: hostConfig({ ConsoleSize: [24, 80] }) });
	expect(process.consoleSize).toEqual({ height: 24, width: 80 });
	expect(process.env).toContain("TERM=xterm");
	const withInit = specOf({ Init: true }, {}, { initPath: "/usr/bin/tini-static" });
	expect(withInit.process.args).toEqual(["/sbin/docker-init", "--", "run"]);
	expect(optionsOf(withInit, "/sbin/docker-init")).toEqual(["bind", "ro"]);
});

test("security options: unconfined paths, no new privileges, own seccomp profile, apparmor", () => {
	const opts = ["systempaths=unconfined", "no-new-privileges", "seccomp={}", "apparmor=mine"];
	const spec = specOf({ SecurityOpt: opts }, {}, { apparmorProfile: "default" });
	expect([spec.linux.maskedPaths, spec.process.noNewPrivileges, spec.process.apparmorProfile]).toEqual([
		[],
		true,
		"mine",
	]);
	expect(
		seccompOf(containerRecord({ hostConfig: hostConfig({ SecurityOpt: opts }) }), DEFAULT_CAPABILITIES).profile,
	).toEqual({ json: "{}" });
	expect(specOf({}, {}, { apparmorProfile: "default" }).process.apparmorProfile).toBe("default");
});

test("a mount of the client's takes the place of ours, outer before inner", () => {
	const bind = (target: string, propagation = "rprivate"): AskedMount => ({
		type: "bind",
		source: "/s",
		target,
		options: ["rbind", "ro", propagation],
		propagation,
	});
	const mounts = [bind("/a/b/c"), bind("/a"), bind("/etc/hosts"), bind("/m", "rshared")];
	const spec = specOf({}, {}, { mounts });
	const at = (destination: string) => spec.mounts.findIndex((mount) => mount.destination === destination);
	expect(at("/a")).toBeLessThan(at("/a/b/c"));
	expect(optionsOf(spec, "/a")).toEqual(["rbind", "ro", "rprivate"]);
	expect(spec.mounts.filter(({ destination }) => destination === "/etc/hosts")).toHaveLength(1);
	expect(spec.linux.rootfsPropagation).toBe("shared");
});

test("only sysctls of the container's own namespaces are in the spec: net.* is the sandbox's", () => {
	const spec = specOf({ Sysctls: { "net.ipv4.ip_forward": "1", "kernel.msgmax": "9" } });
	expect(spec.linux.sysctl).toEqual({ "kernel.msgmax": "9" });
});

test("a privileged container may make every system call, and a filter knows what capabilities there are", () => {
	const { profile } = seccompOf(
		containerRecord({ hostConfig: hostConfig({ Privileged: true }) }),
		DEFAULT_CAPABILITIES,
	);
	expect(profile).toBe("unconfined");
	const dropped = hostConfig({ CapDrop: ["ALL"], CapAdd: ["CHOWN"] });
	expect(seccompOf(containerRecord({ hostConfig: dropped }), DEFAULT_CAPABILITIES).capabilities).toEqual(["CAP_CHOWN"]);
});
