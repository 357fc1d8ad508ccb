import { afterEach, beforeEach, expect, test } from "bun:test";
import * as fs from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { digestOf } from "../../oci/digest.ts";
import { createBlobStore } from "./blob-store.ts";

let root = "";
beforeEach(() => {
	root = fs.mkdtempSync(join(tmpdir(), "blobs-"));
});
afterEach(() => fs.rmSync(root, { recursive: true }));

const open = () =>
	createBlobStore(root, async (path) => {
		const bytes = fs.readFileSync(path);
		return { digest: digestOf(bytes), size: bytes.length };
	});
const DIGEST = digestOf("content");

async function* pieces(...texts: string[]): AsyncGenerator<Uint8Array> {
	for (const text of texts) yield new TextEncoder().encode(text);
}

test("what is put is there, also for the next process, until it is removed", async () => {
	await open().put(DIGEST, 7, pieces("con", "tent"));
	const blobs = open();
	expect([blobs.has(DIGEST), blobs.size(DIGEST), blobs.list()]).toEqual([true, 7, [DIGEST]]);
	expect(Buffer.concat(await Array.fromAsync(blobs.read(DIGEST))).toString()).toBe("content");
	expect(new TextDecoder().decode(blobs.document(DIGEST))).toBe("content");
	await blobs.verify(DIGEST);
	blobs.remove(DIGEST);
	expect([blobs.has(DIGEST), fs.readdirSync(root)]).toEqual([false, []]);
	expect(() => blobs.document(DIGEST)).toThrow("is missing");
});

test("a blob that is another, longer, shorter, or breaks off leaves nothing", async () => {
	const blobs = open();
	await expect(blobs.put(DIGEST, 7, pieces("Content"))).rejects.toThrow(`expected ${DIGEST}`);
	await expect(blobs.put(DIGEST, 7, pieces("contents"))).rejects.toThrow("has 8 bytes, expected 7");
	const broken = async function* () {
		yield* pieces("con");
		throw new Error("connection reset");
	};
	await expect(blobs.put(DIGEST, 7, broken())).rejects.toThrow("connection reset");
	await expect(blobs.put("sha256:../../x", 7, pieces("content"))).rejects.toThrow();
	expect([blobs.list(), fs.readdirSync(root)]).toEqual([[], []]);
});

test("a file is taken away into the store, unless it is another than it should be", async () => {
	const blobs = open();
	const path = join(root, "outside");
	fs.writeFileSync(path, "content");
	await blobs.take(DIGEST, 7, path);
	expect([blobs.has(DIGEST), fs.existsSync(path)]).toEqual([true, false]);
	fs.writeFileSync(path, "other");
	await expect(blobs.take(digestOf("x"), 5, path)).rejects.toThrow(`expected ${digestOf("x")}`);
	expect(fs.readdirSync(root)).toEqual([DIGEST.slice(7)]);
});

test("damage is found; the draft of a killed process is swept", async () => {
	await open().put(DIGEST, 7, pieces("content"));
	fs.writeFileSync(join(root, DIGEST.slice(7)), "c0ntent");
	fs.writeFileSync(join(root, ".draft-1"), "con");
	const blobs = open();
	await expect(blobs.verify(DIGEST)).rejects.toThrow("is not as it was stored");
	expect(fs.readdirSync(root)).toEqual([DIGEST.slice(7)]);
});
