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

test("a small context is known by the digest of its bytes; a large one is read as it comes; both come whole", async () => {
	for (const count of [4, 16, 17, 40]) {
		let taken = 0;
		const counted = async function* () {
			for await (const chunk of chunks(count, 64 << 10)) {
				taken += chunk.length;
				yield chunk;
			}
		};
		const whole = await read(chunks(count, 64 << 10));
		const { body, digest } = await takeIn(counted());
		expect(taken).toBe(Math.min(count, 17) * (64 << 10));
		expect((await read(body)).equals(whole)).toBe(true);
		expect(digest).toBe(count > 16 ? undefined : createHash("sha256").update(whole).digest("hex"));
	}
});

test("a client that leaves in the middle is an error of what is read", async () => {
	const failing = async function* () {
		yield* chunks(40, 64 << 10);
		throw new Error("left");
	};
	const { body } = await takeIn(failing());
	await expect(read(body)).rejects.toThrow("left");
});
