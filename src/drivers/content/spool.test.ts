import { afterEach, beforeEach, expect, test } from "bun:test";
import * as fs from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync, zstdCompressSync } from "node:zlib";
import tar from "tar-stream";
import { createContent } from "./spool.ts";

let root = "";
beforeEach(() => {
	root = fs.mkdtempSync(join(tmpdir(), "spool-"));
});
afterEach(() => fs.rmSync(root, { recursive: true }));

type Entry = Partial<tar.Header> & { name: string; content?: string | Buffer };

async function pack(...entries: Entry[]): Promise<Buffer> {
	const packed = tar.pack();
	for (const { content, ...header } of entries) packed.entry(header, content ?? "");
	packed.finalize();
	return Buffer.concat(await Array.fromAsync(packed as AsyncIterable<Buffer>));
}

async function* pieces(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
	for (let at = 0; at < bytes.length; at += 10_000) yield bytes.subarray(at, at + 10_000);
}

const layerTar = () => pack({ name: "f", content: Buffer.alloc(200_000, 1) });

/** Takes layers as their bytes. */
function taker() {
	const disposed: number[] = [];
	const take = async (bytes: AsyncIterable<Uint8Array>) => {
		const content = Buffer.concat(await Array.fromAsync(bytes));
		return { content, [Symbol.asyncDispose]: async () => void disposed.push(content.length) };
	};
	return { take, disposed };
}

test("layers go to the taker, other files to disk; links lead to both", async () => {
	const layer = await layerTar();
	const big = Buffer.alloc(100_000, "{");
	const bytes = await pack(
		{ name: "a/layer.tar", content: layer },
		{ name: "b/", type: "directory" },
		{ name: "b/layer.tar", type: "symlink", linkname: "../a/layer.tar" },
		{ name: "gz", content: Buffer.from(Bun.gzipSync(crypto.getRandomValues(new Uint8Array(60_000)))) },
		{ name: "gz2", content: Buffer.concat([Bun.gzipSync(Buffer.alloc(10)), Buffer.alloc(70_000)]) },
		{ name: "./big.json", content: big },
		{ name: "json", type: "link", linkname: "big.json" },
	);
	const { take, disposed } = taker();
	for (const body of [bytes, gzipSync(bytes), zstdCompressSync(bytes)]) {
		disposed.length = 0;
		{
			await using archive = await createContent(root).spoolArchive(pieces(body), take);
			for (const name of ["a/layer.tar", "./b/layer.tar"]) {
				expect((await archive.layer(name)?.taken)?.content.equals(layer)).toBe(true);
				expect([archive.layer(name)?.size, archive.file(name)]).toEqual([layer.length, undefined]);
			}
			expect((await archive.layer("gz2")?.taken)?.content.length).toBeGreaterThan(70_000);
			expect(Buffer.from(await archive.read("json")).equals(big)).toBe(true);
			expect([archive.layer("json"), archive.layer("gz"), archive.layer("none")]).toEqual([
				undefined,
				undefined,
				undefined,
			]);
		}
		expect(disposed.length).toBe(2);
		expect(fs.readdirSync(root)).toEqual([]);
	}
});

test("a taker that fails, at once or in the middle, spoils its own layer only", async () => {
	const layer = await layerTar();
	const bytes = await pack(
		{ name: "1", content: layer },
		{ name: "2", content: layer },
		{ name: "3", content: layer },
		{ name: "x", content: "x" },
	);
	let call = 0;
	const { take } = taker();
	await using archive = await createContent(root).spoolArchive(pieces(bytes), async (body) => {
		call++;
		if (call === 1) throw new Error("first");
		if (call === 2) for await (const _ of body) throw new Error("second");
		return await take(body);
	});
	expect(await archive.layer("1")?.taken.catch(String)).toBe("Error: first");
	expect(await archive.layer("2")?.taken.catch(String)).toBe("Error: second");
	expect((await archive.layer("3")?.taken)?.content.equals(layer)).toBe(true);
	expect(Buffer.from(await archive.read("x")).toString()).toBe("x");
});

test("a later entry of a name replaces the earlier, layer or not", async () => {
	const layer = await layerTar();
	const { take, disposed } = taker();
	const bytes = await pack(
		{ name: "a", content: layer },
		{ name: "./a", content: "small" },
		{ name: "b", content: "x" },
		{ name: "b", content: layer },
	);
	await using archive = await createContent(root).spoolArchive(pieces(bytes), take);
	expect(disposed).toEqual([layer.length]);
	expect([Buffer.from(await archive.read("a")).toString(), archive.layer("a")]).toEqual(["small", undefined]);
	expect([archive.file("b"), archive.layer("b")?.size]).toEqual([undefined, layer.length]);
});

test("a cut archive is refused and keeps nothing, no layer either", async () => {
	const layer = await layerTar();
	const bytes = await pack({ name: "a", content: layer }, { name: "b", content: layer });
	const { take, disposed } = taker();
	const cut = bytes.subarray(0, layer.length + 100_000);
	const failed = await createContent(root)
		.spoolArchive(pieces(cut), take)
		.then(
			() => "whole",
			(error: Error) => error.message,
		);
	expect(failed).toContain("invalid archive");
	expect(disposed).toEqual([layer.length]);
	expect(fs.readdirSync(root)).toEqual([]);
});
