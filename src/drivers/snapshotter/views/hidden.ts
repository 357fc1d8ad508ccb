/** What a container's kernel makes up, and its devices: not files that anybody wants copied. */
const MADE_UP = new Set(["proc", "sysfs", "cgroup", "cgroup2", "devpts", "mqueue", "securityfs", "debugfs", "tracefs"]);

/**
 * Mount points below `path` (absolute, no links) whose content an archive of it leaves out, relative to it; `.` when it lies in one itself.
 * @param mountinfo text of /proc/PID/mountinfo
 */
export function hiddenBelow(mountinfo: string, path: string): string[] {
	const base = path === "/" ? "/" : `${path}/`;
	return mountinfo.split("\n").flatMap((line) => {
		const [before = "", after = ""] = line.split(" - ");
		const at = (before.split(" ")[4] ?? "").replace(/\\(\d{3})/g, (_, octal: string) =>
			String.fromCharCode(Number.parseInt(octal, 8)),
		);
		const type = after.split(" ")[0] ?? "";
		const hidden = MADE_UP.has(type) || (type === "tmpfs" && at === "/dev");
		if (!hidden) return [];
		if (path === at || path.startsWith(`${at}/`)) return ["."];
		return at.startsWith(base) ? [at.slice(base.length)] : [];
	});
}
