import { afterEach, beforeEach, expect, test } from "bun:test";
import * as fs from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Duplex } from "node:stream";
import { unmount } from "../../../sys/linux/mount.ts";
import { BuildMounts } from "./build-mounts.ts";

let directory = "";
let tree = "";
let mounts: BuildMounts;
beforeEach(() => {
	directory = fs.mkdtempSync(join(tmpdir(), `fd-build-mounts-${process.pid}-`));
	tree = join(directory, "tree");
	fs.mkdirSync(join(tree, "d"), { recursive: true });
	fs.writeFileSync(join(tree, "d/f"), "inside");
	fs.writeFileSync(join(directory, "secret"), "host");
	mounts = new BuildMounts(join(directory, "mounts"));
});
afterEach(() => {
	mounts.release("s");
	while (unmount(tree)) {}
	fs.rmSync(directory, { recursive: true });
});

test("what is bound stays what it was when its path is swapped, and never leads out of the tree", () => {
	const place = mounts.bind("s", tree, "d");
	fs.renameSync(join(tree, "d"), join(tree, "e"));
	fs.symlinkSync(directory, join(tree, "d"));
	expect(fs.readFileSync(join(place, "f"), "utf8")).toBe("inside");
	expect(() => mounts.bind("s", tree, "d/secret")).toThrow("ENOENT");
	expect(() => mounts.bind("s", tree, "../secret")).toThrow("ENOENT");
	fs.symlinkSync("/e/f", join(tree, "link"));
	expect(fs.readFileSync(mounts.bind("s", tree, "link"), "utf8")).toBe("inside");
	mounts.release("s");
	expect(fs.existsSync(join(directory, "mounts/s"))).toBe(false);
});

test("what is written to a writable copy is not in the tree", () => {
	const place = mounts.writable("s", tree, join(directory, "scratch"));
	fs.writeFileSync(join(place, "d/f"), "changed");
	fs.rmSync(join(place, "d"), { recursive: true });
	expect([fs.existsSync(join(place, "d")), fs.readFileSync(join(tree, "d/f"), "utf8")]).toEqual([false, "inside"]);
});

test("a secret lies in memory, for whom it is for, until it is released", () => {
	const file = mounts.secret("s", Buffer.from("x"), { mode: 0o440, uid: 3, gid: 4 });
	const { mode, uid, gid } = fs.statSync(file);
	expect([mode & 0o7777, uid, gid, fs.readFileSync(file, "utf8")]).toEqual([0o440, 3, 4, "x"]);
	const parent = fs.statfsSync(join(file, "..")).type;
	expect(parent).toBe(0x01021994); // tmpfs
	mounts.release("s");
	expect(fs.existsSync(file)).toBe(false);
});

test("connections to the agent's socket are the client's", async () => {
	const echo = async () => {
		const there = new Duplex({
			read() {},
			write(chunk, _, done) {
				there.push(Buffer.from(`got ${chunk}`));
				done();
			},
		});
		return there;
	};
	const path = await mounts.agent("s", echo, { mode: 0o600, uid: 0, gid: 0 });
	const socket = connect(path);
	socket.write("hello");
	const answer = await new Promise((resolve) => socket.once("data", resolve));
	socket.destroy();
	expect(String(answer)).toBe("got hello");
});

test("stubs go when they are empty, only they, and only inside the tree", () => {
	expect(mounts.missing(tree, "/d/x/y")).toEqual(["/d/x/y", "/d/x"]);
	expect(mounts.missing(tree, "/d/f")).toEqual([]);
	for (const path of ["d/x/y", "d/full/y"]) fs.mkdirSync(join(tree, path), { recursive: true });
	fs.writeFileSync(join(tree, "d/full/y/kept"), "1");
	fs.writeFileSync(join(directory, "empty"), "");
	fs.symlinkSync(directory, join(tree, "out"));
	fs.utimesSync(join(tree, "d"), 1e9, 1e9);
	mounts.removeStubs(tree, ["/d/x/y", "/d/x", "/d/full/y", "/d/full", "/d/f", "/out/empty", "/none/x"]);
	expect(fs.readdirSync(join(tree, "d")).sort()).toEqual(["f", "full"]);
	expect([fs.existsSync(join(directory, "empty")), fs.statSync(join(tree, "d")).mtimeMs]).toEqual([true, 1e12]);
});
