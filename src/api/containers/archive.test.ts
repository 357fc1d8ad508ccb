import { expect, test } from "bun:test";
import { absolutePath } from "../../engine/containers/archive.ts";
import type { Containers } from "../../engine/containers/contract.ts";
import { archiveRoutes, goFileMode } from "./archive.ts";

test.each([
	[0o100755, 0o755],
	[0o104755, 8389101],
	[0o040755, 2147484141],
	[0o041777, 2148532735],
	[0o120777, 134218239],
	[0o020666, 69206454],
])("mode %o in Go's bits", (mode, go) => {
	expect(goFileMode(mode)).toBe(go);
});

test.each([
	["foo", "/foo"],
	["/foo/", "/foo/"],
	["/foo/.", "/foo/."],
	["/", "/"],
	["/.", "/."],
	["../../foo//bar", "/foo/bar"],
	["/foo/../bar/./", "/bar/."],
])("path %p from the root", (path, absolute) => {
	expect(absolutePath(path)).toBe(absolute);
});

test("HEAD asks for the stat alone: nothing is packed", async () => {
	const stat = { name: "data", size: 3, mode: 0o100644, mtimeNs: 0n, linkTarget: "" };
	const asked: string[] = [];
	const containers = {
		statPath: async (...args: string[]) => {
			asked.push(...args);
			return stat;
		},
		archive: async () => {
			throw new Error("packed");
		},
	} as unknown as Containers;
	const request = new Request("http://localhost/containers/web/archive?path=/data", { method: "HEAD" });
	const reply = await archiveRoutes(containers).fetch(request);
	expect([reply.status, await reply.text(), asked]).toEqual([200, "", ["web", "/data"]]);
	const header = Buffer.from(reply.headers.get("x-docker-container-path-stat") ?? "", "base64").toString();
	expect(JSON.parse(header)).toMatchObject({ name: "data", size: 3, mode: 0o644 });
});
