import { expect, test } from "bun:test";
import type { Policies } from "../../../engine/policy/contract.ts";
import { parsePolicies } from "../../../engine/policy/parse.ts";
import type { Policy } from "../../../engine/policy/policy.ts";
import { EngineError } from "../../../shared/errors.ts";
import { policyRoutes } from "./routes.ts";
import { documentOf } from "./view.ts";

const DOCUMENT = {
	name: "web-egress",
	select: { names: ["web-*"] },
	default: { egress: "deny" },
	rules: [
		{
			action: "allow",
			to: [
				{ name: "*.example.org", ports: ["443"] },
				{ cidr: "10.0.0.0/8", except: ["10.1.0.0/16"] },
			],
		},
		{ action: "deny", from: [{ sandboxes: { all: true } }, { host: true }], ports: ["53"], protocols: ["udp"] },
		{ action: "allow", direction: "ingress", protocols: ["icmp"], comment: "ping" },
	],
};

/** Keeps what is applied. */
function fake(): Policies & { asked: unknown[] } {
	const kept: Policy[] = [];
	const asked: unknown[] = [];
	const list = () => kept.map((policy) => ({ policy, sandboxes: ["web-1"], unenforced: [], counts: [] }));
	return {
		asked,
		list,
		inspect: (name) => {
			const found = list().find(({ policy }) => policy.name === name);
			if (!found) throw new EngineError("not-found", `no such policy: ${name}`);
			return found;
		},
		prepare: async () => void asked.push("prepare"),
		apply: (policies, { dryRun }) => {
			asked.push(dryRun);
			if (!dryRun) kept.push(...policies);
			return policies.map(({ name }) => ({ name, change: "created", sandboxes: [], unenforced: [] }));
		},
		remove: (name) => void asked.push(name),
		settled: async () => {},
		explain: (from, to) => ({ from, to, allowed: true, decisions: [], notes: [] }),
		denied: () => [],
		async *followDenied() {},
	};
}

function caller(policies: Policies) {
	const app = policyRoutes(policies);
	return async (method: string, path: string, body?: unknown) => {
		const headers = { "content-type": "application/json" };
		const init = { method, ...(body !== undefined && { body: JSON.stringify(body), headers }) };
		const reply = await app.fetch(new Request(`http://localhost/foredeck/v1${path}`, init));
		const text = await reply.text();
		return { status: reply.status, body: text.startsWith("{") || text.startsWith("[") ? JSON.parse(text) : text };
	};
}

test("a policy's document is what was applied, and may be applied again", async () => {
	const call = caller(fake());
	expect((await call("POST", "/policies", DOCUMENT)).body).toEqual([
		{ name: "web-egress", change: "created", sandboxes: [], unenforced: [] },
	]);
	const { body } = await call("GET", "/policies/web-egress");
	expect(body).toEqual({ policy: DOCUMENT, sandboxes: ["web-1"], unenforced: [], counts: [] });
	const [policy] = parsePolicies(DOCUMENT);
	if (!policy) throw new Error("a policy");
	expect(parsePolicies(documentOf(policy))).toEqual([policy]);
	expect((await call("GET", "/policies")).body).toEqual([body]);
});

test("dry run, removal and explanation are passed on; what is applied is prepared first", async () => {
	const policies = fake();
	const call = caller(policies);
	await call("POST", "/policies?dryRun=1", [DOCUMENT]);
	expect((await call("DELETE", "/policies/x")).status).toBe(204);
	await call("POST", "/policies", [DOCUMENT]);
	expect(policies.asked).toEqual([true, "x", "prepare", false]);
	expect((await call("GET", "/policy-decision?from=web&to=db:80")).body).toMatchObject({ from: "web", to: "db:80" });
	expect((await call("GET", "/policy-schema")).body.$defs.policy.required).toEqual(["name"]);
});
