import { expect, test } from "bun:test";
import { compareVersions, evaluateHost, type HostFacts } from "./doctor.ts";

const good: HostFacts = {
	uid: 0,
	kernel: "6.1.0-28-amd64",
	crun: "crun version 1.30\ncommit: 9c9a\n",
	runc: undefined,
	nftablesLibrary: true,
	filesystems: "nodev\tproc\nnodev\toverlay\n\text4\n",
	modules: "",
	mounts: "cgroup2 /sys/fs/cgroup cgroup2 rw 0 0\n",
	ipForward: "1",
	resolvConf: "# made by hand\nnameserver 192.0.2.1\n",
	namespaces: true,
};

const check = (name: string, change: Partial<HostFacts>) =>
	evaluateHost({ ...good, ...change }).find((candidate) => candidate.name === name);

test("a machine with everything passes every check", () => {
	expect(evaluateHost(good).filter(({ status }) => status !== "ok")).toEqual([]);
});

test("an old crun is a warning that names the version with the fix", () => {
	const found = check("crun", { crun: "crun version 1.8.1\n" });
	expect(found).toMatchObject({ status: "warn", found: "1.8.1" });
	expect(found?.advice).toContain("1.30");
	expect(check("crun", { crun: "crun version 1.29.1\n" })?.status).toBe("warn");
});

test("no OCI runtime at all is a failure, runc alone a warning", () => {
	expect(check("crun", { crun: undefined })?.status).toBe("fail");
	expect(check("crun", { crun: undefined, runc: "runc version 1.3.3\n" })?.status).toBe("warn");
});

test("runc is judged by the fix of its own release line", () => {
	const statusOf = (version: string) => check("runc", { runc: `runc version ${version}\n` })?.status;
	expect(["1.1.5+ds1", "1.2.9", "1.3.5", "1.3.6", "1.4.2", "1.4.3", "1.5.0"].map(statusOf).join(" ")).toBe(
		"warn warn warn ok warn ok ok",
	);
});

test("the cgroup layout is told apart", () => {
	const v1 = "cgroup /sys/fs/cgroup/memory cgroup rw,memory 0 0\n";
	const unified = "cgroup2 /sys/fs/cgroup/unified cgroup2 rw 0 0\n";
	expect(check("cgroups", { mounts: v1 })).toMatchObject({ status: "warn", found: "v1 (1 controllers)" });
	expect(check("cgroups", { mounts: v1 + unified })?.found).toBe(
		"hybrid (1 v1 controllers, v2 at /sys/fs/cgroup/unified)",
	);
	expect(check("cgroups", { mounts: "" })?.status).toBe("fail");
});

test("what is missing is named with what to do", () => {
	expect(check("libnftables", { nftablesLibrary: false })?.advice).toBe("apt-get install libnftables1");
	expect(check("overlayfs", { filesystems: "nodev\tfuse.overlay\n" })?.status).toBe("fail");
	// Before the first mount it is a module only.
	const modules = "kernel/fs/overlayfs/overlay.ko:\n";
	expect(check("overlayfs", { filesystems: "", modules })?.status).toBe("ok");
	expect(check("overlayfs", { filesystems: "", modules: "kernel/fs/notoverlay.ko:\n" })?.status).toBe("fail");
	expect(check("kernel", { kernel: "4.19.0" })?.status).toBe("fail");
	expect(check("user", { uid: 1000 })?.status).toBe("fail");
	expect(check("ip_forward", { ipForward: "0" })?.status).toBe("warn");
	expect(check("dns", { resolvConf: "search x\n" })?.status).toBe("warn");
});

test("versions compare by number, not by text", () => {
	expect(compareVersions("1.10", "1.9")).toBeGreaterThan(0);
	expect(compareVersions("1.9.0", "1.9")).toBe(0);
	expect(compareVersions("6.18.44-fc", "6.18.44")).toBe(0);
});
