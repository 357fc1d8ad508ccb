import { expect, test } from "bun:test";
import { mountInfos, mountOf } from "./mount-info.ts";
import { parseMountOptions } from "./mount-options.ts";

test("flags, propagation and the filesystem's own options are told apart; the last word of a flag counts", () => {
	expect(parseMountOptions("")).toEqual({ flags: 0, propagation: 0, data: "" });
	expect(parseMountOptions("defaults,ro,noexec,size=1m,uid=7")).toEqual({
		flags: 1 | 8,
		propagation: 0,
		data: "size=1m,uid=7",
	});
	expect(parseMountOptions("ro,rw,nosuid,suid").flags).toBe(0);
	expect(parseMountOptions("rbind,rslave")).toEqual({ flags: 4096 | 16384, propagation: (1 << 19) | 16384, data: "" });
	expect(parseMountOptions("constructor,__proto__").data).toBe("constructor,__proto__");
});

const TABLE = `22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw
30 22 0:25 / /proc rw - proc proc rw
40 22 0:30 / /tmp rw master:3 propagate_from:2 - tmpfs a\\040b rw
41 40 0:31 / /tmp rw shared:9 master:3 - tmpfs t rw
42 22 0:32 / /with\\040blank rw - tmpfs t rw
`;

test("the table of mounts is read with its escapes and its optional fields", () => {
	expect(mountInfos(TABLE)).toEqual([
		{ mountPoint: "/", shared: true, slave: false },
		{ mountPoint: "/proc", shared: false, slave: false },
		{ mountPoint: "/tmp", shared: false, slave: true },
		{ mountPoint: "/tmp", shared: true, slave: true },
		{ mountPoint: "/with blank", shared: false, slave: false },
	]);
});

test("a path lies on the longest mount above it, of several there on the last", () => {
	const table = mountInfos(TABLE);
	expect(mountOf("/tmp", table)).toEqual({ mountPoint: "/tmp", shared: true, slave: true });
	expect(mountOf("/usr", table).mountPoint).toBe("/");
	expect(mountOf("/proc/self/", table).mountPoint).toBe("/proc");
});
