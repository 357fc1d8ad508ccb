import { afterEach, beforeEach, expect, test } from "bun:test";
import * as fs from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import tar from "tar-stream";
import { getXattr } from "../../../sys/linux/xattr.ts";
import { assembleLayer } from "./assemble.ts";
import { unpackLayer } from "./unpack.ts";

let base = "";
let layer = "";

beforeEach(() => {
	base = fs.mkdtempSync(join(tmpdir(), "unpack-"));
	layer = join(base, "layer");
	fs.mkdirSync(layer);
	fs.mkdirSync(join(base, "recipe"));
	fs.mkdirSync(join(base, "outside"));
	fs.writeFileSync(join(base, "outside/victim"), "whole");
});
afterEach(() => fs.rmSync(base, { recursive: true }));

type Entry = Partial<tar.Header> & { name: string; content?: string };

async function unpack(...entries: Entry[]): Promise<{ size: number }> {
	const pack = tar.pack();
	for (const { content, ...header } of entries) pack.entry(header, content ?? "");
	pack.finalize();
	const bytes = Buffer.concat(await Array.fromAsync(pack as AsyncIterable<Buffer>));
	return await unpackBytes(bytes, bytes);
}

async function unpackBytes(stored: Uint8Array, plain: Uint8Array): Promise<{ size: number }> {
	const path = join(base, "layer.tar");
	fs.writeFileSync(path, stored);
	const diffId = `sha256:${new Bun.CryptoHasher("sha256").update(plain).digest("hex")}`;
	fs.rmSync(join(base, "recipe"), { recursive: true });
	fs.mkdirSync(join(base, "recipe"));
	const limits = { bytes: 1e9, entries: 1e6 };
	const recipe = join(base, "recipe");
	const { size, tarSize } = await unpackLayer({ path, diffId, directory: layer, recipe, limits });
	expect(tarSize).toBe(plain.length);
	// Whatever the tar held, it comes back byte for byte.
	const again = Buffer.concat([...assembleLayer({ directory: layer, recipe, diffId })]);
	expect(again.equals(plain)).toBe(true);
	return { size };
}

const untouched = () => {
	expect(fs.readdirSync(join(base, "outside"))).toEqual(["victim"]);
	expect(fs.readFileSync(join(base, "outside/victim"), "utf8")).toBe("whole");
	expect(fs.statSync(join(base, "outside/victim")).nlink).toBe(1);
};

test("names that climb out are refused", async () => {
	for (const name of ["../outside/new", "a/../../outside/new"]) {
		await expect(unpack({ name, content: "x" })).rejects.toThrow("leads out of the layer");
	}
	untouched();
});

test("absolute names land inside", async () => {
	await unpack({ name: `${base}/outside/new`, content: "x" });
	expect(fs.readFileSync(join(layer, base, "outside/new"), "utf8")).toBe("x");
	untouched();
});

test("writing through a symlink stays inside", async () => {
	const links = [`${base}/outside`, "../outside"];
	for (const [i, linkname] of links.entries()) {
		const link: Entry = { name: `l${i}`, type: "symlink", linkname };
		await unpack(link, { name: `l${i}/victim`, content: "changed" }).catch(() => undefined);
	}
	untouched();
});

test("a file replaces a symlink of its name instead of following it", async () => {
	await unpack({ name: "f", type: "symlink", linkname: `${base}/outside/victim` }, { name: "f", content: "mine" });
	expect(fs.lstatSync(join(layer, "f")).isFile()).toBe(true);
	untouched();
});

test("a parent swapped for a symlink is looked up anew", async () => {
	await unpack(
		{ name: "d/", type: "directory" },
		{ name: "d/a", content: "1" },
		{ name: "d", type: "symlink", linkname: `${base}/outside` },
		{ name: "d/victim", content: "changed" },
	).catch(() => undefined);
	untouched();
});

test("hardlinks reach nothing outside", async () => {
	for (const linkname of [`${base}/outside/victim`, "../outside/victim"]) {
		await expect(unpack({ name: "h", type: "link", linkname })).rejects.toThrow();
	}
	const through: Entry = { name: "l", type: "symlink", linkname: `${base}/outside` };
	await expect(unpack(through, { name: "h", type: "link", linkname: "l/victim" })).rejects.toThrow();
	untouched();
});

test("whiteouts of parents are refused", async () => {
	for (const name of ["a/.wh...", "a/.wh..", ".wh."]) await expect(unpack({ name })).rejects.toThrow("whiteout");
});

test("whiteouts, opaque directories and metadata become what overlayfs reads", async () => {
	const mtime = new Date("2020-02-02T00:00:00Z");
	await unpack(
		{ name: "d/", type: "directory", mode: 0o1777, mtime },
		{ name: "d/.wh..wh..opq" },
		{ name: "d/.wh.needless" },
		{ name: "w/.wh.gone" },
		{ name: "su", mode: 0o4755, uid: 7, gid: 8, mtime, content: "12345" },
		{ name: "hard", type: "link", linkname: "su" },
		{ name: "p", type: "fifo", mode: 0o600 },
		{ name: "null", type: "character-device", devmajor: 1, devminor: 3, mode: 0o666 },
	);
	expect(Buffer.from(getXattr(join(layer, "d"), "trusted.overlay.opaque") ?? []).toString()).toBe("y");
	expect(fs.readdirSync(join(layer, "d"))).toEqual([]);
	const gone = fs.lstatSync(join(layer, "w/gone"));
	expect([gone.isCharacterDevice(), gone.rdev]).toEqual([true, 0]);
	const su = fs.statSync(join(layer, "su"));
	expect([su.mode & 0o7777, su.uid, su.gid, su.nlink, su.mtime.getTime()]).toEqual([0o4755, 7, 8, 2, mtime.getTime()]);
	const d = fs.statSync(join(layer, "d"));
	expect([d.mode & 0o7777, d.mtime.getTime()]).toEqual([0o1777, mtime.getTime()]);
	expect(fs.lstatSync(join(layer, "p")).isFIFO()).toBe(true);
	expect(fs.statSync(join(layer, "null")).rdev).toBe(0x103);
});

/** Turns the first entry, a file, into a pax header: type `x`, and its checksum. tar-stream itself cannot write binary values. */
function asPaxHeader(bytes: Buffer): void {
	bytes[156] = "x".charCodeAt(0);
	bytes.fill(" ", 148, 156);
	const sum = bytes.subarray(0, 512).reduce((total, byte) => total + byte, 0);
	bytes.write(`${sum.toString(8).padStart(6, "0")}\0 `, 148, "latin1");
}

test("capabilities come through byte for byte; overlay's own attributes do not", async () => {
	const capability = Buffer.from("0100000280800000000000000000000000000000", "hex");
	const record = (key: string, value: Buffer) => {
		const body = Buffer.concat([Buffer.from(` SCHILY.xattr.${key}=`), value, Buffer.from("\n")]);
		const digits = String(body.length + 2).length;
		return Buffer.concat([Buffer.from(String(body.length + digits)), body]);
	};
	const pax = Buffer.concat([
		record("security.capability", capability),
		record("trusted.overlay.redirect", Buffer.from("/etc")),
	]);
	const pack = tar.pack();
	pack.entry({ name: "pax" }, pax);
	pack.entry({ name: "f" }, "x");
	pack.finalize();
	const bytes = Buffer.concat(await Array.fromAsync(pack as AsyncIterable<Buffer>));
	asPaxHeader(bytes);
	await unpackBytes(bytes, bytes);
	expect(Buffer.from(getXattr(join(layer, "f"), "security.capability") ?? []).toString("hex")).toBe(
		capability.toString("hex"),
	);
	expect(getXattr(join(layer, "f"), "trusted.overlay.redirect")).toBeUndefined();
});

test("gzip and zstd are told by magic, long names kept, sizes counted", async () => {
	const name = `${"long/".repeat(60)}file`;
	const pack = tar.pack();
	pack.entry({ name }, "12345");
	pack.finalize();
	const plain = Buffer.concat(await Array.fromAsync(pack as AsyncIterable<Buffer>));
	for (const stored of [Bun.gzipSync(plain), Bun.zstdCompressSync(plain)]) {
		expect(await unpackBytes(stored, plain)).toEqual({ size: 5 });
		expect(fs.readFileSync(join(layer, name), "utf8")).toBe("12345");
	}
});

test("a wrong diffID and a cut tar are refused", async () => {
	const pack = tar.pack();
	pack.entry({ name: "f" }, "x".repeat(5000));
	pack.finalize();
	const plain = Buffer.concat(await Array.fromAsync(pack as AsyncIterable<Buffer>));
	await expect(unpackBytes(plain, Buffer.from("other"))).rejects.toThrow("expected sha256:");
	const cut = plain.subarray(0, 2000);
	await expect(unpackBytes(cut, cut)).rejects.toThrow();
});
