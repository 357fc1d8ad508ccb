import { expect, test } from "bun:test";
import { hasV1Controllers } from "./cgroup-moves.ts";

test("v1 controllers count, named hierarchies and cgroup2 do not", () => {
	expect(hasV1Controllers("cgroup2 /sys/fs/cgroup cgroup2 rw,nosuid 0 0\n")).toBe(false);
	expect(hasV1Controllers("cgroup /sys/fs/cgroup/systemd cgroup rw,xattr,name=systemd 0 0\n")).toBe(false);
	expect(
		hasV1Controllers(
			"cgroup2 /sys/fs/cgroup/unified cgroup2 rw 0 0\ncgroup /sys/fs/cgroup/memory cgroup rw,relatime,memory 0 0\n",
		),
	).toBe(true);
});
