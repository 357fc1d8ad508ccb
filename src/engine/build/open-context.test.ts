import { expect, test } from "bun:test";
import { openContext } from "./open-context.ts";

test("what a URL answers that is no context is not read on", async () => {
	let closed = false;
	async function* body() {
		try {
			for (;;) yield new Uint8Array(600);
		} finally {
			closed = true;
		}
	}
	const parts = { openUrl: async () => ({ body: body(), contentType: "image/png" }) };
	const request = { context: { url: "http://192.0.2.1/x.png" } };
	const { signal } = new AbortController();
	const opened = openContext(parts as never, request as never, signal, "/nowhere", {} as never);
	await expect(opened).rejects.toThrow('unsupported Content-Type "image/png"');
	expect(closed).toBe(true);
});
