import { expect, test } from "bun:test";
import { resolveUser } from "./user.ts";

const FILES: Record<string, string> = {
	"/etc/passwd": "root:x:0:0:root:/root:/bin/sh\nweb:x:1000:1001::/home/web:/bin/sh\n# comment\n",
	"/etc/group": "root:x:0:root\nweb:x:1001:\nextra:x:2000:web,other\nvideo:x:44:\n",
};
const read = (path: string) => FILES[path];

test.each([
	["", [], { uid: 0, gid: 0, additionalGids: [0], home: "/root" }],
	["web", [], { uid: 1000, gid: 1001, additionalGids: [1001, 2000], home: "/home/web" }],
	["1000", [], { uid: 1000, gid: 1001, additionalGids: [1001, 2000], home: "/home/web" }],
	["web:video", [], { uid: 1000, gid: 44, additionalGids: [44], home: "/home/web" }],
	["77:88", ["video", "9"], { uid: 77, gid: 88, additionalGids: [88, 44, 9], home: "/" }],
])("resolveUser(%p, %p)", (user, groupAdd, expected) => {
	expect(resolveUser(user, groupAdd, read)).toEqual(expected);
});

test("names and numbers that are none are refused in docker's words", () => {
	expect(() => resolveUser("no", [], read)).toThrow("unable to find user no: no matching entries in passwd file");
	expect(() => resolveUser("0:no", [], read)).toThrow("unable to find group no: no matching entries in group file");
	expect(() => resolveUser("-1", [], read)).toThrow("uids and gids must be in range 0-2147483647");
	expect(() => resolveUser("0", ["-1"], read)).toThrow("uids and gids must be in range 0-2147483647");
	expect(() => resolveUser("4294967296", [], read)).toThrow("uids and gids must be in range 0-2147483647");
});

test("an image without the files has numbers, and root", () => {
	const none = () => undefined;
	expect(resolveUser("", [], none)).toEqual({ uid: 0, gid: 0, additionalGids: [0], home: "/" });
	expect(resolveUser("5", [], none)).toEqual({ uid: 5, gid: 0, additionalGids: [0], home: "/" });
});
