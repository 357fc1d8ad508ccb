import { afterAll, beforeAll, expect, test } from "bun:test";
import * as fs from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { runDeepCheck } from "./deep-check.ts";

const ok = { diffId: `sha256:${"a".repeat(64)}`, images: ["app:1"], status: "ok" };
const bad = {
	diffId: `sha256:${"b".repeat(64)}`,
	images: ["app:1", "b:2"],
	status: "damaged",
	detail: "file x differs",
};

let folder = "";
const before = process.env.DOCKER_CONFIG;
beforeAll(() => {
	folder = fs.mkdtempSync(join(tmpdir(), "deep-check-"));
	fs.writeFileSync(join(folder, "config.json"), '{"auths":{"reg:5":{"auth":"dTpw"}}}');
	process.env.DOCKER_CONFIG = folder;
});
afterAll(() => {
	fs.rmSync(folder, { recursive: true });
	if (before === undefined) delete process.env.DOCKER_CONFIG;
	else process.env.DOCKER_CONFIG = before;
});

/** A daemon that answers with these lines, and the printed text and exit code. */
async function check(argv: string[], lines: readonly object[], status = 200) {
	let asked = "";
	let config: string | null = null;
	await using server = Bun.serve({
		port: 0,
		hostname: "127.0.0.1",
		fetch: (request) => {
			const { pathname, search } = new URL(request.url);
			asked = `${request.method} ${pathname}${search}`;
			config = request.headers.get("x-registry-config");
			return new Response(lines.map((line) => JSON.stringify(line)).join("\r\n"), { status });
		},
	});
	let out = "";
	const code = await runDeepCheck(argv, `tcp://127.0.0.1:${server.port}`, (line) => {
		out += line;
	});
	return { code, out, asked, config };
}

test("a line per layer; damage that stays is exit code 1, a repair is 0", async () => {
	const found = await check(["--deep"], [ok, bad]);
	expect([found.code, found.asked]).toEqual([1, "POST /foredeck/v1/images/check?repair=0"]);
	expect(found.out).toBe("ok       aaaaaaaaaaaa  app:1\ndamaged  bbbbbbbbbbbb  app:1, b:2: file x differs");
	const repaired = await check(["--deep", "--repair", "--json"], [{ ...bad, status: "repaired" }]);
	expect([repaired.code, repaired.asked]).toEqual([0, "POST /foredeck/v1/images/check?repair=1"]);
	const auths = { "reg:5": { auth: "dTpw" } };
	expect([found.config, JSON.parse(Buffer.from(repaired.config ?? "", "base64url").toString())]).toEqual([null, auths]);
	expect(JSON.parse(repaired.out)).toEqual([{ ...bad, status: "repaired" }]);
});

test("what the daemon refuses or breaks off is an error, and so is an unknown argument", async () => {
	await expect(check(["--deep"], [{ message: "no such page" }], 404)).rejects.toThrow("no such page");
	await expect(check(["--deep"], [ok, { error: "broken" }])).rejects.toThrow("cannot check layers: broken");
	await expect(check(["--deeper"], [])).rejects.toThrow("unknown argument --deeper");
});
