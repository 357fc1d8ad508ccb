import { expect, test } from "bun:test";
import { encode, type StringAnswer } from "dns-packet";
import { silentLogger } from "../shared/log.ts";
import type { Handler } from "./handlers.ts";
import { addressesIn, policyHandler, policyObserver } from "./policy.ts";
import { createResponder } from "./responder.ts";

const a = (name: string, data: string, ttl = 60) => ({ type: "A" as const, name, data, ttl });
const cname = (name: string, data: string) => ({ type: "CNAME" as const, name, data, ttl: 60 });
const reply = (...answers: StringAnswer[]) =>
	new Uint8Array(encode({ type: "response", id: 1, questions: [{ type: "A", name: "api.example.org" }], answers }));

test("addresses of the name asked for, by way of aliases in any order; others' records and broken messages count for nothing", () => {
	const long = reply(
		a("Edge.example.net", "192.0.2.1", 5),
		cname("cdn.example.net", "edge.example.net"),
		cname("API.example.org", "cdn.example.net"),
	);
	expect(addressesIn(long, "api.example.org")).toEqual([{ address: "192.0.2.1", ttl: 5 }]);
	expect(addressesIn(reply(a("stray.example.net", "192.0.2.2")), "api.example.org")).toEqual([]);
	const six = { type: "AAAA" as const, name: "cdn.example.net", data: "2001:DB8:0:0::1", ttl: 7 };
	expect(addressesIn(reply(cname("api.example.org", "cdn.example.net"), six), "api.example.org")).toEqual([
		{ address: "2001:db8::1", ttl: 7 },
	]);
	const loop = reply(cname("api.example.org", "b.example.org"), cname("b.example.org", "api.example.org"));
	expect(addressesIn(loop, "api.example.org")).toEqual([]);
	expect(addressesIn(long.subarray(0, 40), "api.example.org")).toEqual([]);
});

test("what is answered is learned before the reply is given out; a name that is refused is NXDOMAIN, and asked of nobody", async () => {
	const order: string[] = [];
	const policies = {
		refuses: (_: string, name: string) => name === "bad.example.org",
		wants: () => true,
		answered: (id: string, name: string, addresses: readonly { address: string }[]) =>
			void order.push(`learned ${id} ${name} ${addresses.map(({ address }) => address)}`),
	};
	const forward: Handler = {
		answer: async ({ name }) => {
			order.push(`asked ${name}`);
			return reply(a(name, "192.0.2.1"));
		},
	};
	const id = () => "web";
	const respond = createResponder([policyHandler(policies, id), forward], silentLogger, policyObserver(policies, id));
	const ask = (name: string) =>
		respond(new Uint8Array(encode({ type: "query", id: 1, questions: [{ type: "A", name }] })), "udp", "10.0.0.1");
	await ask("api.example.org");
	order.push("replied");
	expect(order).toEqual(["asked api.example.org", "learned web api.example.org 192.0.2.1", "replied"]);
	const refused = await ask("bad.example.org");
	expect((refused?.[3] ?? 0) & 15).toBe(3);
	expect(order.filter((line) => line.startsWith("asked"))).toEqual(["asked api.example.org"]);
});

test("an answer that could not be let through is not given", async () => {
	const forward: Handler = { answer: async ({ name }) => reply(a(name, "192.0.2.1")) };
	const respond = createResponder([forward], silentLogger, () => {
		throw new Error("no table");
	});
	const answer = await respond(
		new Uint8Array(encode({ type: "query", id: 1, questions: [{ type: "A", name: "api.example.org" }] })),
		"udp",
		"c",
	);
	expect((answer?.[3] ?? 0) & 15).toBe(2);
});
