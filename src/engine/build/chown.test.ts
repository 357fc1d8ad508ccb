import { expect, test } from "bun:test";
import { ownerOf } from "./chown.ts";

const files: Record<string, string> = {
	"/etc/passwd": "root:x:0:0::/:/bin/sh\nweb:x:33:44::/:/bin/sh\n",
	"/etc/group": "root:x:0:\nweb:x:55:\nstaff:x:50:web\n",
};
const owner = (chown: string) => ownerOf(chown, (path) => files[path]);

test("names are the image's, numbers are taken as they are; a lone name is the group's too", () => {
	expect(owner("web")).toEqual({ uid: 33, gid: 55 });
	expect(owner("web:staff")).toEqual({ uid: 33, gid: 50 });
	expect(owner("7")).toEqual({ uid: 7, gid: 7 });
	expect(owner("7:8")).toEqual({ uid: 7, gid: 8 });
});

test.each([
	["nobody", "can't find uid for user nobody: no such user: nobody"],
	["root:none", "can't find gid for group none: no such group: none"],
	["a:b:c", "invalid chown string format: a:b:c"],
	["4294967295", "can't find uid for user 4294967295"],
])("%p is refused", (chown, text) => {
	expect(() => owner(chown)).toThrow(`unable to convert uid/gid chown string to host mapping: ${text}`);
});
