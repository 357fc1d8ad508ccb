import { expect, test } from "bun:test";
import { runNetwork, splitArguments, statusText } from "./network.ts";

/** A daemon that answers everything with this. */
async function against(answer: unknown, argv: string[]) {
	const asked: string[] = [];
	using server = Bun.serve({
		hostname: "127.0.0.1",
		port: 0,
		async fetch(request) {
			asked.push(
				`${request.method} ${new URL(request.url).pathname}${new URL(request.url).search} ${await request.text()}`.trim(),
			);
			return typeof answer === "string" ? new Response(answer) : Response.json(answer);
		},
	});
	const lines: string[] = [];
	const code = await runNetwork(argv, `tcp://127.0.0.1:${server.port}`, (line) => void lines.push(line));
	return { code, asked, text: lines.join("\n") };
}

const step = { name: "tcp", status: "fail", detail: "db is not listening on TCP port 80" };
const report = { from: "web", to: "db", port: 80, ok: false, steps: [step], verdict: step.detail };

test("a check that fails ends with 1 and says where", async () => {
	const { code, asked, text } = await against(report, ["check", "web", "db", "--port", "80"]);
	expect([code, asked]).toEqual([1, ['POST /foredeck/v1/checks {"from":"web","to":"db","port":80}']]);
	expect(text).toBe("fail  tcp  db is not listening on TCP port 80\nFAILED: db is not listening on TCP port 80");
	const good = await against({ ...report, ok: true, steps: [], verdict: "fine" }, ["check", "web", "db", "--json"]);
	expect([good.code, JSON.parse(good.text).verdict]).toEqual([0, "fine"]);
});

test("the topology is printed as the daemon draws it", async () => {
	const { code, asked, text } = await against("network front\n", ["topology", "--format=text"]);
	expect([code, asked, text]).toEqual([0, ["GET /foredeck/v1/topology?format=text"], "network front"]);
});

test("leaks and faults end with 1", async () => {
	const clean = { bridges: [], ports: [], leaks: [], faults: [] };
	expect((await against(clean, ["status"])).code).toBe(0);
	const bad = { ...clean, leaks: [{ kind: "interface", name: "vethx" }], faults: ["bridge fd0 is down"] } as const;
	expect((await against(bad, ["status"])).code).toBe(1);
	expect(statusText(bad)).toEndWith(
		"leaks: what bears this instance's mark and no record owns\n  interface  vethx\nfaults\n  bridge fd0 is down",
	);
});

test.each([
	[[]],
	[["check", "web"]],
	[["topology", "x"]],
	[["topology", "--format", "png"]],
	[["check", "a", "b", "--port", "x"]],
])("what is not understood shows the usage: %p", async (argv) => {
	await expect(runNetwork(argv, "tcp://127.0.0.1:1", () => {})).rejects.toThrow("usage: foredeck network topology");
});

test("flags that find the daemon are told from the command's own", () => {
	const argv = ["check", "--instance", "x", "a", "b", "--port", "80", "--host=unix:///s", "--json"];
	expect(splitArguments(argv)).toEqual({
		own: ["check", "a", "b", "--port", "80", "--json"],
		daemon: ["--instance", "x", "--host=unix:///s"],
	});
});
