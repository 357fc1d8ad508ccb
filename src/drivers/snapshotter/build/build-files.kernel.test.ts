import { afterEach, beforeEach, expect, test } from "bun:test";
import * as fs from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import tar from "tar-stream";
import { buildFiles } from "./build-files.ts";

let directory = "";
let context = "";
let target = "";
beforeEach(() => {
	directory = fs.mkdtempSync(join(tmpdir(), `fd-build-${process.pid}-`));
	[context, target] = [join(directory, "context"), join(directory, "target")];
	for (const path of [context, target]) fs.mkdirSync(path);
	fs.writeFileSync(join(directory, "secret"), "secret");
});
afterEach(() => fs.rmSync(directory, { recursive: true }));

const owner = { uid: 0, gid: 0 };
const copy = (path: string, destination: string, more: object = {}) =>
	buildFiles.copy({ root: context, path, to: target, destination, owner, extract: false, ...more });
const put = (path: string, content: string) => {
	fs.mkdirSync(join(context, path, ".."), { recursive: true });
	fs.writeFileSync(join(context, path), content);
};
const text = (path: string) => fs.readFileSync(join(target, path), "utf8");

async function* packed(...entries: (Partial<tar.Header> & { name: string; content?: string })[]) {
	const pack = tar.pack();
	for (const { content, ...header } of entries) pack.entry(header, content ?? "");
	pack.finalize();
	yield* pack as AsyncIterable<Uint8Array>;
}

test("links of the context that lead out of it find nothing", async () => {
	fs.symlinkSync(join(directory, "secret"), join(context, "absolute"));
	fs.symlinkSync("../secret", join(context, "relative"));
	fs.symlinkSync("..", join(context, "up"));
	for (const path of ["absolute", "relative", "up/secret"]) {
		await expect(buildFiles.find(context, path)).rejects.toMatchObject({ code: "ENOENT" });
		await expect(copy(path, "/x")).rejects.toMatchObject({ code: "ENOENT" });
	}
});

test("links of the image that lead out of it are followed inside it", async () => {
	put("a", "content");
	fs.symlinkSync(directory, join(target, "host"));
	fs.symlinkSync("../../secret", join(target, "file"));
	await copy("a", "/host/planted");
	await copy("a", "/file");
	expect(fs.existsSync(join(directory, "planted"))).toBe(false);
	expect(fs.readFileSync(join(directory, "secret"), "utf8")).toBe("secret");
	expect([text(`${directory}/planted`), text("secret")]).toEqual(["content", "content"]);
});

test("a context's entries stay below its directory, whatever their names", async () => {
	const out = buildFiles.unpack(join(directory, "c1"), packed({ name: "../../secret", content: "changed" }));
	await expect(out).rejects.toThrow("outside of");
	const through = packed({ name: "d", type: "symlink", linkname: directory }, { name: "d/secret", content: "changed" });
	await buildFiles.unpack(join(directory, "c2"), through).catch(() => {});
	expect(fs.readFileSync(join(directory, "secret"), "utf8")).toBe("secret");
});

test("a file gets the destination's name, or keeps its own in a directory", async () => {
	put("a", "1");
	fs.mkdirSync(join(target, "there"));
	await copy("a", "/new");
	await copy("a", "/there");
	await copy("a", "/deep/er/");
	expect([text("new"), text("there/a"), text("deep/er/a")]).toEqual(["1", "1", "1"]);
});

test("of a directory the content is copied: links, modes and times stay, owners and set-id bits do not", async () => {
	put("d/sub/file", "1");
	fs.symlinkSync("/etc/passwd", join(context, "d/link"));
	fs.linkSync(join(context, "d/sub/file"), join(context, "d/twin"));
	fs.chmodSync(join(context, "d/sub/file"), 0o4755);
	fs.utimesSync(join(context, "d/sub/file"), 1e9, 1e9);
	await copy("d", "/x", { owner: { uid: 5, gid: 6 } });
	const stat = fs.statSync(join(target, "x/sub/file"));
	expect([stat.mode & 0o7777, stat.uid, stat.gid, stat.mtimeMs, stat.nlink]).toEqual([0o755, 5, 6, 1e12, 2]);
	expect(fs.readlinkSync(join(target, "x/link"))).toBe("/etc/passwd");
	await copy("d", "/y", { owner: undefined });
	expect(fs.statSync(join(target, "y/sub/file")).mode & 0o7777).toBe(0o4755);
});

test("the digest is that of names, modes and content; not of times", async () => {
	put("d/a", "1");
	const hash = async (path: string) => (await buildFiles.find(context, path))[0]?.hash ?? "";
	const before = [await hash("d"), await hash("d/a")];
	expect(before.map((one) => one.split(":")[0])).toEqual(["dir", "file"]);
	fs.utimesSync(join(context, "d/a"), 1, 1);
	expect([await hash("d"), await hash("d/a")]).toEqual(before);
	fs.chmodSync(join(context, "d/a"), 0o600);
	const mode = [await hash("d"), await hash("d/a")];
	put("d/a", "2");
	const content = [await hash("d"), await hash("d/a")];
	fs.renameSync(join(context, "d/a"), join(context, "d/b"));
	const all = [before[0], mode[0], content[0], await hash("d"), before[1], mode[1], content[1], await hash("d/b")];
	expect(new Set(all).size).toBe(8);
});

test("wildcards do not cross slashes", async () => {
	for (const path of ["a.txt", "b.txt", "c.md", "d/e.txt"]) put(path, path);
	const found = async (pattern: string) => (await buildFiles.find(context, pattern)).map(({ path }) => path);
	expect(await found("*.txt")).toEqual(["a.txt", "b.txt"]);
	expect(await found("*/*.txt")).toEqual(["d/e.txt"]);
	expect(await found("[ac].*")).toEqual(["a.txt", "c.md"]);
	expect(await found("?.m*")).toEqual(["c.md"]);
	expect(await found("x*")).toEqual([]);
});

test("a tar is unpacked on request, in any compression; anything else is copied", async () => {
	put("in/file", "1");
	for (const [flag, name] of [
		["", "a.tar"],
		["z", "a.tgz"],
		["j", "a.tbz"],
		["J", "a.txz"],
	] as const) {
		Bun.spawnSync(["tar", `-c${flag}f`, join(context, name), "-C", context, "in"]);
		await copy(name, `/${name}.d/`, { extract: true });
		expect(text(`${name}.d/in/file`)).toBe("1");
	}
	await copy("in/file", "/plain", { extract: true });
	await copy("a.tgz", "/kept.tgz");
	expect([text("plain"), fs.statSync(join(target, "kept.tgz")).isFile()]).toEqual(["1", true]);
});

test("a big tree is hashed and copied in a worker, with the same outcome", async () => {
	for (let i = 0; i < 400; i++) put(`big/${i % 20}/${i}`, "x".repeat(i));
	const [found] = await buildFiles.find(context, "big");
	await copy("big", "/big");
	const [copied] = await buildFiles.find(target, "big");
	expect([found?.hash.startsWith("dir:"), copied?.hash]).toEqual([true, found?.hash]);
	await expect(copy("none", "/x")).rejects.toMatchObject({ code: "ENOENT" });
});

test("a file that was hashed is not read again until it changes: large contexts are hashed as they are unpacked", async () => {
	const root = join(directory, "unpacked");
	const entries = ["a", "b"].map((name) => ({ name, content: name.repeat(400_000) }));
	await buildFiles.unpack(root, packed(...entries));
	const plain = join(directory, "plain");
	fs.cpSync(root, plain, { recursive: true, preserveTimestamps: true });
	const hash = async (tree: string) => (await buildFiles.find(tree, "a"))[0]?.hash ?? "";
	expect(await hash(root)).toBe(await hash(plain));
	const whole = async (tree: string) => (await buildFiles.find(tree, ""))[0]?.hash ?? "";
	const before = await whole(root);
	expect(before).toBe(await whole(plain));
	const { mtime } = fs.statSync(join(root, "a"));
	fs.writeFileSync(join(root, "a"), "c".repeat(400_000));
	fs.utimesSync(join(root, "a"), mtime, mtime);
	expect(await whole(root)).not.toBe(before);
	fs.writeFileSync(join(root, "a"), "a".repeat(400_000));
	expect(await whole(root)).toBe(before);
	await buildFiles.discard(root);
});
