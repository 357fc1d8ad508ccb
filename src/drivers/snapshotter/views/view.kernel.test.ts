import { afterEach, beforeEach, expect, test } from "bun:test";
import * as fs from "node:fs";
import { gzipSync } from "node:zlib";
import { pack as tarPack } from "tar-stream";
import { viewOfMounts, viewOfProcess } from "./view.ts";

let dir = "";
let root = "";

beforeEach(() => {
	dir = fs.mkdtempSync(`/tmp/foredeck-view-${process.pid}-`);
	root = `${dir}/root`;
	fs.mkdirSync(`${root}/data/sub`, { recursive: true });
	fs.mkdirSync(`${root}/etc`);
	fs.writeFileSync(`${root}/data/file`, "content", { mode: 0o640 });
	fs.symlinkSync("/data/sub", `${root}/link`);
});

afterEach(() => fs.rmSync(dir, { recursive: true, force: true }));

type Header = Parameters<ReturnType<typeof tarPack>["entry"]>[0];

async function tarOf(...entries: [Header, string?][]): Promise<Buffer> {
	const pack = tarPack();
	for (const [header, content] of entries) pack.entry(header, content ?? "");
	pack.finalize();
	return Buffer.concat(await Array.fromAsync(pack as AsyncIterable<Buffer>));
}

async function* once(...chunks: Uint8Array[]) {
	yield* chunks;
}

const names = async (body: AsyncIterable<Uint8Array>) => {
	const child = Bun.spawn(["tar", "-tP"], { stdin: "pipe", stdout: "pipe" });
	try {
		for await (const chunk of body) child.stdin.write(chunk);
		await child.stdin.end();
	} catch (error) {
		// tar does not read what stands behind the end
		if ((error as NodeJS.ErrnoException).code !== "EPIPE") throw error;
	}
	return (await new Response(child.stdout).text()).trim().split("\n").sort();
};

test("stat() tells kind and size, and where a link leads inside the root", () => {
	using view = viewOfMounts(root, []);
	expect(view.stat("/data/file")).toMatchObject({ size: 7, mode: 0o100640, linkTarget: "" });
	expect(view.stat("/link").linkTarget).toBe("/data/sub");
	expect(view.stat("/link/").mode & 0o170000).toBe(0o040000);
	expect(() => view.stat("/none")).toThrow("ENOENT");
	expect(() => view.stat("/data/file/")).toThrow("ENOTDIR");
});

test("a link to the host's files leads to the container's", async () => {
	fs.symlinkSync("/etc/passwd", `${root}/passwd`);
	fs.symlinkSync("../../../../../../etc", `${root}/up`);
	using view = viewOfMounts(root, []);
	expect(() => view.stat("/passwd/")).toThrow("ENOENT");
	await view.unpack("/up", once(await tarOf([{ name: "planted" }, "x"])), { keepKinds: false });
	expect(fs.readFileSync(`${root}/etc/planted`, "utf8")).toBe("x");
});

test("an archive cannot write through a link of the container, nor out of the destination", async () => {
	const outside = `${dir}/outside`;
	fs.mkdirSync(outside);
	fs.symlinkSync(outside, `${root}/data/evil`);
	using view = viewOfMounts(root, []);
	const into = (tar: Buffer) => view.unpack("/data", once(tar), { keepKinds: false });
	await into(await tarOf([{ name: "evil/f" }, "x"])).catch(() => {});
	await expect(into(await tarOf([{ name: "../f" }, "x"]))).rejects.toThrow("is outside of");
	await into(await tarOf([{ name: "l", type: "symlink", linkname: outside }], [{ name: "l/f" }, "x"])).catch(() => {});
	expect(fs.readdirSync(outside)).toEqual([]);
});

test("unpack() keeps owner, mode and time, and an owner asked for wins", async () => {
	using view = viewOfMounts(root, []);
	const mtime = new Date("2020-01-02T03:04:05Z");
	const tar = await tarOf(
		[{ name: "a/", type: "directory", mode: 0o710, uid: 5, gid: 6, mtime }],
		[{ name: "a/f", mode: 0o4755, uid: 5, gid: 6, mtime }, "1"],
	);
	await view.unpack("/data", once(gzipSync(tar)), { keepKinds: false });
	const [a, f] = [fs.statSync(`${root}/data/a`), fs.statSync(`${root}/data/a/f`)];
	expect([a.mode & 0o7777, a.uid, a.gid, a.mtime]).toEqual([0o710, 5, 6, mtime]);
	expect([f.mode & 0o7777, f.uid, f.gid, f.mtime]).toEqual([0o4755, 5, 6, mtime]);
	await view.unpack("/data", once(tar), { keepKinds: false, owner: { uid: 77, gid: 78 } });
	expect([fs.statSync(`${root}/data/a/f`).uid, fs.statSync(`${root}/data/a`).gid]).toEqual([77, 78]);
});

test("keepKinds refuses to replace a directory by a file and the other way round", async () => {
	using view = viewOfMounts(root, []);
	const put = async (header: Header) => view.unpack("/data", once(await tarOf([header])), { keepKinds: true });
	await expect(put({ name: "sub" })).rejects.toThrow('cannot overwrite directory "sub" with non-directory "/data"');
	await expect(put({ name: "file", type: "directory" })).rejects.toThrow(
		'cannot overwrite non-directory "file" with directory "/data"',
	);
});

test("an archive may lack the padding of its last file, and no more", async () => {
	using view = viewOfMounts(root, []);
	const content = "x".repeat(600);
	const tar = await tarOf([{ name: "unpadded" }, content]);
	await view.unpack("/data", once(tar.subarray(0, 512 + 600)), { keepKinds: false });
	expect(fs.readFileSync(`${root}/data/unpadded`, "utf8")).toBe(content);
	for (const length of [511, 512 + 599])
		await expect(view.unpack("/data", once(tar.subarray(0, length)), { keepKinds: false })).rejects.toThrow(
			"unexpected EOF",
		);
});

test("a large archive goes through the worker whole; a cut one is refused", async () => {
	using view = viewOfMounts(root, []);
	const content = "0123456789abcdef".repeat(100_000);
	const tar = await tarOf([{ name: "big" }, content]);
	const pieces = Array.from({ length: Math.ceil(tar.length / 65536) }, (_, i) =>
		tar.subarray(i * 65536, (i + 1) * 65536),
	);
	await view.unpack("/data", once(...pieces), { keepKinds: false });
	expect(fs.readFileSync(`${root}/data/big`, "utf8") === content).toBe(true);
	await expect(view.unpack("/data", once(...pieces.slice(0, -3)), { keepKinds: false })).rejects.toThrow(
		"unexpected EOF",
	);
});

test("mounts lie on top of the root, for the view alone, and read-only ones say so", async () => {
	const source = `${dir}/volume`;
	fs.mkdirSync(source);
	fs.writeFileSync(`${source}/v`, "volume");
	using view = viewOfMounts(root, [
		{ source, target: "/vol", readonly: false, recursive: true },
		{ source, target: "/ro", readonly: true, recursive: true },
	]);
	expect(view.stat("/vol/v").size).toBe(6);
	expect(fs.readdirSync(`${root}/vol`)).toEqual([]);
	expect(view.destination("/vol")).toEqual({ isDirectory: true, isOfRoot: false, isReadonly: false });
	expect(view.destination("/ro")).toEqual({ isDirectory: true, isOfRoot: false, isReadonly: true });
	expect(view.destination("/data")).toEqual({ isDirectory: true, isOfRoot: true, isReadonly: false });
	await view.unpack("/vol", once(await tarOf([{ name: "new" }, "n"])), { keepKinds: false });
	expect(fs.readFileSync(`${source}/new`, "utf8")).toBe("n");
	expect(await names(view.pack("/vol", "vol"))).toEqual(["vol/", "vol/new", "vol/v"]);
	expect(fs.readFileSync("/proc/self/mounts", "utf8").includes(dir)).toBe(false);
});

test("pack() names entries as asked, and leaves out what the kernel makes up", async () => {
	using view = viewOfMounts(root, []);
	expect(await names(view.pack("/data", "other"))).toEqual(["other/", "other/file", "other/sub/"]);
	expect(await names(view.pack("/data/file", "file"))).toEqual(["file"]);
	expect(await names(view.pack("/link", "link"))).toEqual(["link"]);
	using own = viewOfProcess(process.pid);
	expect(await names(own.pack("/proc", "proc"))).toEqual(["proc/"]);
});

test("leaving a pack ends the tar process", async () => {
	fs.writeFileSync(`${root}/data/big`, Buffer.alloc(16 << 20));
	using view = viewOfMounts(root, []);
	const body = view.pack("/data", "data")[Symbol.asyncIterator]();
	expect((await body.next()).done).toBe(false);
	await body.return?.();
	const left = () => Bun.spawnSync(["pgrep", "-P", String(process.pid), "tar"]).stdout.toString();
	for (let tries = 0; left() !== "" && tries < 100; tries++) await Bun.sleep(10);
	expect(left()).toBe("");
});

test("a directory swapped for a link all the while lets nothing out", async () => {
	const outside = `${dir}/outside`;
	fs.mkdirSync(outside);
	const swap = `cd ${root}/data && while :; do mv sub s2; ln -s ${outside} sub; rm sub; mv s2 sub; done`;
	const swapper = Bun.spawn(["sh", "-c", swap], { stderr: "ignore" });
	try {
		using view = viewOfMounts(root, []);
		const tar = await tarOf(
			[{ name: "sub/a" }, "x"],
			[{ name: "sub/d/", type: "directory" }],
			[{ name: "sub/d/b" }, "y"],
		);
		for (let i = 0; i < 200; i++) await view.unpack("/data", once(tar), { keepKinds: false }).catch(() => {});
	} finally {
		swapper.kill("SIGKILL");
		await swapper.exited;
	}
	expect(fs.readdirSync(outside)).toEqual([]);
});
