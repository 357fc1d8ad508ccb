import { expect, test } from "bun:test";
import { runDeepCheck } from "./deep-check.ts";

const ok = { diffId: `sha256:${"a".repeat(64)}`, images: ["app:1"], status: "ok" };
const bad = {
	diffId: `sha256:${"b".repeat(64)}`,
	images: ["app:1", "b:2"],
	status: "damaged",
	detail: "file x differs",
};

/** A daemon that answers with these lines, and the printed text and exit code. */
async function check(argv: string[], lines: readonly object[], status = 200) {
	let asked = "";
	await using server = Bun.serve({
		port: 0,
		hostname: "127.0.0.1",
		fetch: (request) => {
			const { pathname, search } = new URL(request.url);
			asked = `${request.method} ${pathname}${search}`;
			return new Response(lines.map((line) => JSON.stringify(line)).join("\r\n"), { status });
		},
	});
	let out = "";
	const code = await runDeepCheck(argv, `tcp://127.0.0.1:${server.port}`, (line) => {
		out += line;
	});
	return { code, out, asked };
}

test("a line per layer; damage that stays is exit code 1, a repair is 0", async () => {
	const found = await check(["--deep"], [ok, bad]);
	expect([found.code, found.asked]).toEqual([1, "POST /foredeck/v1/images/check?repair=0"]);
	expect(found.out).toBe("ok       aaaaaaaaaaaa  app:1\ndamaged  bbbbbbbbbbbb  app:1, b:2: file x differs");
	const repaired = await check(["--deep", "--repair", "--json"], [{ ...bad, status: "repaired" }]);
	expect([repaired.code, repaired.asked]).toEqual([0, "POST /foredeck/v1/images/check?repair=1"]);
	expect(JSON.parse(repaired.out)).toEqual([{ ...bad, status: "repaired" }]);
});

test("what the daemon refuses or breaks off is an error, and so is an unknown argument", async () => {
	await expect(check(["--deep"], [{ message: "no such page" }], 404)).rejects.toThrow("no such page");
	await expect(check(["--deep"], [ok, { error: "broken" }])).rejects.toThrow("cannot check layers: broken");
	await expect(check(["--deeper"], [])).rejects.toThrow("unknown argument --deeper");
});
