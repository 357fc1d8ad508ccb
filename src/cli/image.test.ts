import { afterEach, beforeEach, expect, test } from "bun:test";
import * as fs from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { runImage, splitImageArguments } from "./image.ts";

let folder = "";
beforeEach(() => {
	folder = fs.mkdtempSync(join(tmpdir(), "image-"));
	fs.writeFileSync(join(folder, "config.json"), '{"auths":{"reg:5":{"auth":"dTpw"}}}');
});
afterEach(() => fs.rmSync(folder, { recursive: true }));

/** A daemon that answers with these lines; what it was asked, and what was printed. */
async function pull(name: string, lines: readonly object[], flags: readonly string[] = []) {
	let asked = "";
	let auth: string | null = null;
	await using server = Bun.serve({
		port: 0,
		hostname: "127.0.0.1",
		fetch: (request) => {
			asked = request.url;
			auth = request.headers.get("x-registry-auth");
			return new Response(lines.map((line) => `${JSON.stringify(line)}\r\n`).join(""));
		},
	});
	const out: string[] = [];
	const argv = ["pull", "--all-platforms", name, ...flags];
	const code = await runImage(argv, `tcp://127.0.0.1:${server.port}`, (line) => void out.push(line), {
		DOCKER_CONFIG: folder,
	});
	return { code, out, query: Object.fromEntries(new URL(asked).searchParams), auth: auth as string | null };
}

test("a pull asks for all platforms with docker's login, and prints each step once", async () => {
	const step = (status: string) => ({ id: "aa", status });
	const found = await pull("reg:5/app", [
		step("Downloading"),
		step("Downloading"),
		step("Download complete"),
		{ status: "Status: done" },
	]);
	expect(found).toMatchObject({
		code: 0,
		out: ["aa: Downloading", "aa: Download complete", "Status: done"],
		query: { fromImage: "reg:5/app", tag: "latest", platform: "all" },
	});
	expect(JSON.parse(Buffer.from(found.auth ?? "", "base64url").toString())).toEqual({ auth: "dTpw" });
	const other = await pull("app:1", [], ["-q"]);
	expect([other.query.fromImage, other.query.tag, other.auth, other.out]).toEqual(["app", "1", null, ["app:1"]]);
	const digest = `sha256:${"a".repeat(64)}`;
	expect((await pull(`reg:5/app@${digest}`, [])).query).toMatchObject({ fromImage: "reg:5/app", tag: digest });
});

test("a failure is told in the daemon's words; other uses are refused", async () => {
	await expect(pull("app", [{ status: "x" }, { error: "manifest unknown" }])).rejects.toThrow("manifest unknown");
	await expect(runImage(["pull", "app"], "", () => {})).rejects.toThrow("usage: foredeck image pull");
	await expect(runImage(["push", "--all-platforms", "app"], "", () => {})).rejects.toThrow("usage");
	expect(splitImageArguments(["pull", "--host", "unix:///x", "--all-platforms", "app", "--instance=a"])).toEqual({
		own: ["pull", "--all-platforms", "app"],
		daemon: ["--host", "unix:///x", "--instance=a"],
	});
});
