import { chmodSync, copyFileSync, mkdirSync, symlinkSync } from "node:fs";
import type { RuntimeSpec } from "../../oci/runtime-spec.ts";
import type { RuntimeCommand } from "./driver.ts";

/** Those that every test of the kind runs with. */
export const CRUN: RuntimeCommand = { path: "/usr/bin/crun", args: [], family: "crun" };
export const RUNC: RuntimeCommand = { path: Bun.which("runc") ?? "/usr/sbin/runc", args: [], family: "runc" };
/** As docker's default for a container without capabilities. */
export const SECCOMP = { profile: "default", capabilities: [] } as const;

/** A root filesystem with Debian's static busybox, for tests. */
export function makeBusyboxRoot(root: string): void {
	for (const name of ["bin", "dev", "proc", "sys", "tmp", "etc"]) mkdirSync(`${root}/${name}`, { recursive: true });
	copyFileSync("/usr/bin/busybox", `${root}/bin/busybox`);
	chmodSync(`${root}/bin/busybox`, 0o755);
	const applets = "sh true false cat sleep echo sha256sum stty dd yes head kill tail touch wc id seq tty".split(" ");
	for (const applet of applets) symlinkSync("busybox", `${root}/bin/${applet}`);
}

/** A small spec for tests: its own pid, mount, ipc, uts and network namespace. */
export function testSpec(root: string, cgroupsPath: string, args: string[], tty = false): RuntimeSpec {
	return {
		ociVersion: "1.0.2",
		root: { path: root, readonly: false },
		process: { terminal: tty, user: { uid: 0, gid: 0 }, args, env: ["PATH=/bin", "TERM=xterm"], cwd: "/" },
		mounts: [
			{ destination: "/proc", type: "proc", source: "proc", options: ["nosuid", "noexec", "nodev"] },
			{ destination: "/dev", type: "tmpfs", source: "tmpfs", options: ["nosuid", "mode=755", "size=65536k"] },
			{
				destination: "/dev/pts",
				type: "devpts",
				source: "devpts",
				options: ["newinstance", "ptmxmode=0666", "mode=0620"],
			},
		],
		linux: {
			namespaces: [{ type: "pid" }, { type: "mount" }, { type: "ipc" }, { type: "uts" }, { type: "network" }],
			cgroupsPath,
			resources: {},
		},
	};
}
