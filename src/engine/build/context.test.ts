import { expect, test } from "bun:test";
import { createHash } from "node:crypto";
import { takeIn } from "./context.ts";

async function* chunks(count: number, size: number): AsyncGenerator<Uint8Array> {
	for (let i = 0; i < count; i++) yield new Uint8Array(size).fill(i);
}

async function read(body: AsyncIterable<Uint8Array>): Promise<Buffer> {
	const seen: Uint8Array[] = [];
	for await (const chunk of body) seen.push(chunk);
	return Buffer.concat(seen);
}

/** Keeps what it is given, as a file would. */
function fakeSpool() {
	const kept: Buffer[] = [];
	const spool = async (body: AsyncIterable<Uint8Array>) => {
		const all = await read(body);
		kept.push(all);
		return chunksOf(all);
	};
	return { kept, spool };
}

async function* chunksOf(all: Buffer): AsyncGenerator<Uint8Array> {
	yield all;
}

test("a small context stays in memory, a large one is spooled; both come back whole, with the digest of their bytes", async () => {
	for (const [count, spooled] of [
		[4, 0],
		[40, 1],
	] as const) {
		const { kept, spool } = fakeSpool();
		const whole = await read(chunks(count, 64 << 10));
		const { body, digest } = await takeIn(chunks(count, 64 << 10), spool);
		expect(kept).toHaveLength(spooled);
		expect((await read(body)).equals(whole)).toBe(true);
		expect(digest).toBe(createHash("sha256").update(whole).digest("hex"));
	}
});

test("a client that leaves in the middle leaves no digest", async () => {
	const failing = async function* () {
		yield* chunks(40, 64 << 10);
		throw new Error("left");
	};
	await expect(takeIn(failing(), fakeSpool().spool)).rejects.toThrow("left");
});
