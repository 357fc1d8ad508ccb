import { expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { runPolicy, splitPolicyArguments } from "./policy.ts";
import { readPolicyFile } from "./policy-file.ts";

/** A daemon that answers with this, what it was asked, and what was printed. */
async function call(argv: string[], reply: unknown, status = 200) {
	const asked: string[] = [];
	await using server = Bun.serve({
		port: 0,
		hostname: "127.0.0.1",
		fetch: async (request) => {
			const { pathname, search } = new URL(request.url);
			asked.push(`${request.method} ${pathname}${search} ${await request.text()}`.trim());
			const body = typeof reply === "string" ? reply : JSON.stringify(reply);
			return new Response(body, { status });
		},
	});
	const out: string[] = [];
	const code = await runPolicy(argv, `tcp://127.0.0.1:${server.port}`, (line) => void out.push(line));
	return { code, out, asked };
}

function withFile<T>(text: string, work: (path: string) => T): T {
	const directory = mkdtempSync(join(tmpdir(), "foredeck-policy-"));
	const path = join(directory, "policy.yaml");
	writeFileSync(path, text);
	try {
		return work(path);
	} finally {
		rmSync(directory, { recursive: true });
	}
}

test("a file is YAML of one or several documents, or JSON; keys that stand twice and other faults are told with their line", () => {
	const read = (text: string) => withFile(text, readPolicyFile);
	expect(read("name: a\n---\n- name: b\n- name: c\n---\npolicies: [{ name: d }]\n")).toEqual([
		{ name: "a" },
		{ name: "b" },
		{ name: "c" },
		{ name: "d" },
	]);
	expect(read('{"name": "a", "rules": []}')).toEqual([{ name: "a", rules: [] }]);
	expect(() => read("name: a\nname: b\n")).toThrow(/Map keys must be unique at line 2/);
	expect(() => read('{"name": "a", "name": "b"}')).toThrow("Map keys must be unique");
	expect(() => read("# nothing\n")).toThrow("it holds no policy");
	expect(() => readPolicyFile("/nowhere.yaml")).toThrow("cannot read /nowhere.yaml");
});

test("apply sends the file and tells of each policy; what cannot be enforced is said", async () => {
	const changes = [
		{
			name: "a",
			change: "created",
			sandboxes: ["web"],
			unenforced: [{ container: "mon", why: "on the host's network" }],
		},
	];
	const directory = mkdtempSync(join(tmpdir(), "foredeck-policy-"));
	const path = join(directory, "policy.yaml");
	writeFileSync(path, "name: a\n");
	try {
		const done = await call(["apply", path], changes);
		expect(done.asked).toEqual(['POST /foredeck/v1/policies?dryRun=0 [{"name":"a"}]']);
		expect(done.out).toEqual(["a created: web; CANNOT BE ENFORCED on mon: on the host's network"]);
		const dry = await call(["apply", path, "--dry-run"], changes);
		expect(dry.asked[0]).toStartWith("POST /foredeck/v1/policies?dryRun=1");
		expect(dry.out[0]).toStartWith("a would be created: web");
	} finally {
		rmSync(directory, { recursive: true });
	}
});

test("explain tells who decides at each end, and is exit code 1 for what is denied", async () => {
	const reply = {
		from: "web",
		to: "db",
		port: 80,
		protocol: "tcp",
		allowed: false,
		decisions: [
			{ direction: "egress", action: "allow", policy: "a", rule: 2, partly: [] },
			{ direction: "ingress", action: "deny", policy: "b", partly: [{ policy: "b", rule: 0, action: "allow" }] },
		],
		notes: ["so it is"],
	};
	const { code, out, asked } = await call(["explain", "web", "db:80"], reply);
	expect([code, asked[0]]).toEqual([1, "GET /foredeck/v1/policy-decision?from=web&to=db%3A80"]);
	expect(out).toEqual([
		"web -> db:80/tcp: denied",
		"  out of web: allow by a rules[2]",
		"  into db: deny by b, its default; for some ports or protocols: allow by b rules[0]",
		"  note: so it is",
	]);
});

test("log prints a line per flow", async () => {
	const flow = {
		sandbox: "web",
		direction: "egress",
		peer: "192.0.2.1",
		protocol: "tcp",
		port: 80,
		policy: "a",
		rule: "egress",
		count: 3,
		first: 0,
		last: 0,
	};
	const { out } = await call(["log"], `${JSON.stringify(flow)}\n`);
	expect(out).toEqual(["1970-01-01T00:00:00.000Z web egress 192.0.2.1:80/tcp denied by a, its default (3)"]);
});

test("what the daemon refuses is an error, and so are words and flags that the command does not have", async () => {
	await expect(call(["delete", "x"], { message: "no such policy: x" }, 404)).rejects.toThrow("no such policy: x");
	await expect(call(["show"], {})).rejects.toThrow("usage: foredeck policy apply");
	await expect(call(["list", "-f"], [])).rejects.toThrow("policy list takes no -f");
	expect(splitPolicyArguments(["log", "-f", "--host", "unix:///x", "--json"])).toEqual({
		own: ["log", "-f", "--json"],
		daemon: ["--host", "unix:///x"],
	});
});
