import { readdirSync, rmdirSync } from "node:fs";

const ROOT = "/sys/fs/cgroup";

/** Removes an empty parent cgroup from every hierarchy (v1 controllers and v2). One that still holds a container stays. */
export function removeEmptyCgroup(name: string): void {
	const hierarchies = [ROOT, ...readdirSync(ROOT).map((controller) => `${ROOT}/${controller}`)];
	for (const hierarchy of hierarchies) {
		try {
			// rmdir /sys/fs/cgroup/memory/foredeck-fd
			rmdirSync(`${hierarchy}/${name}`);
		} catch {
			// not there, or in use
		}
	}
}
