import { readFileSync, realpathSync } from "node:fs";

/** One line of /proc/self/mountinfo, the parts the engine reads. Source: proc(5). */
export interface MountInfo {
	readonly mountPoint: string;
	readonly shared: boolean;
	readonly slave: boolean;
}

/** Mounts of this process's namespace in the order they were made. */
export function mountInfos(text: string = readFileSync("/proc/self/mountinfo", "utf8")): MountInfo[] {
	return text
		.split("\n")
		.filter(Boolean)
		.map((line) => {
			const fields = line.split(" ");
			const optional = fields.slice(6, fields.indexOf("-"));
			return {
				mountPoint: unescapePath(fields[4] ?? ""),
				shared: optional.some((tag) => tag.startsWith("shared:")),
				slave: optional.some((tag) => tag.startsWith("master:")),
			};
		});
}

/** The mount an existing path lies on; links are followed. */
export function mountOf(path: string, mounts: readonly MountInfo[] = mountInfos()): MountInfo {
	const real = realpathSync(path);
	const above = mounts.filter(
		({ mountPoint }) => mountPoint === "/" || real === mountPoint || real.startsWith(`${mountPoint}/`),
	);
	// of mounts on one place the last one is on top
	const longest = Math.max(...above.map(({ mountPoint }) => mountPoint.length));
	const found = above.findLast(({ mountPoint }) => mountPoint.length === longest);
	return found ?? { mountPoint: "/", shared: false, slave: false };
}

/** The kernel writes blanks and backslashes in octal. */
function unescapePath(text: string): string {
	return text.replaceAll(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8)));
}
