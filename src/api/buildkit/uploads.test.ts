import { expect, test } from "bun:test";
import { BuildUploads } from "./uploads.ts";

const never = new AbortController().signal;

async function* body(text: string): AsyncGenerator<Uint8Array> {
	yield Buffer.from(text);
}

async function textOf(chunks: AsyncIterable<Uint8Array>): Promise<string> {
	let text = "";
	for await (const chunk of chunks) text += Buffer.from(chunk).toString();
	return text;
}

test("a build gets the context that has its id, whichever of the two comes first", async () => {
	const uploads = new BuildUploads();
	const offered = uploads.offer("a", body("one"), never);
	expect(await textOf(uploads.take("a", never))).toBe("one");
	await offered;
	const taken = textOf(uploads.take("b", never));
	await uploads.offer("b", body("two"), never);
	expect(await taken).toBe("two");
});

test("a second context of one build is refused", async () => {
	const uploads = new BuildUploads();
	const first = uploads.offer("a", body("one"), never);
	await expect(uploads.offer("a", body("two"), never)).rejects.toThrow("the context of build a is there");
	expect(await textOf(uploads.take("a", never))).toBe("one");
	await first;
});

test("who leaves is not waited for", async () => {
	const uploads = new BuildUploads();
	const gone = new AbortController();
	const offered = uploads.offer("a", body("one"), gone.signal);
	gone.abort();
	await offered;
	const unread = uploads.offer("c", body("one"), never);
	uploads.release("c");
	await unread;
	const left = new AbortController();
	const taken = textOf(uploads.take("b", left.signal));
	left.abort();
	await expect(taken).rejects.toThrow("the context of build b did not come");
});
