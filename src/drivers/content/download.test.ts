import { expect, test } from "bun:test";
import { download } from "./download.ts";

const read = async (url: string) => Buffer.concat(await Array.fromAsync(download(url))).toString();

test("gives what the server sends; refusals and other kinds of URLs are told", async () => {
	await using server = Bun.serve({
		port: 0,
		hostname: "127.0.0.1",
		fetch: (request) => (request.url.endsWith("/a") ? new Response("tar") : new Response("no", { status: 404 })),
	});
	const base = `http://127.0.0.1:${server.port}`;
	expect(await read(`${base}/a`)).toBe("tar");
	await expect(read(`${base}/b`)).rejects.toThrow("Got HTTP status code 404");
	await expect(read("file:///etc/passwd")).rejects.toThrow("allowed are http:// and https:// URLs");
	await expect(read("nothing")).rejects.toThrow("allowed are http:// and https:// URLs");
});
