import { expect, test } from "bun:test";
import { DeniedFlows } from "./denied.ts";

const flow = (peer: string) => ({
	sandbox: "web",
	direction: "egress" as const,
	peer,
	protocol: "tcp",
	port: 80,
	policy: "lock",
	rule: 0,
});

test("packets of one flow are one entry that counts; the oldest of a thousand go", () => {
	let now = 1000;
	const flows = new DeniedFlows(() => now++);
	flows.add(flow("a"));
	flows.add(flow("b"));
	flows.add(flow("a"));
	expect(flows.list()).toEqual([
		{ ...flow("b"), count: 1, first: 1001, last: 1001 },
		{ ...flow("a"), count: 2, first: 1000, last: 1002 },
	]);
	for (let i = 0; i < 1500; i++) flows.add(flow(`x${i}`));
	expect(flows.list().length).toBe(1000);
	expect(flows.list().at(-1)?.peer).toBe("x1499");
});

test("a follower hears what there was, then what comes, until it goes", async () => {
	const flows = new DeniedFlows();
	flows.add(flow("before"));
	const ending = new AbortController();
	const heard: string[] = [];
	const following = (async () => {
		for await (const { peer } of flows.follow(ending.signal)) if (heard.push(peer) === 2) ending.abort();
	})();
	await Bun.sleep(1);
	flows.add(flow("later"));
	await following;
	expect(heard).toEqual(["before", "later"]);
});
