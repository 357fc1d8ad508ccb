import { expect, test } from "bun:test";
import { definitionOf, imageOf } from "./linked.ts";
import { ProgressLog } from "./progress.ts";

const never = new AbortController().signal;

test("who follows a build hears all of it, also from the middle and after its end", async () => {
	const log = new ProgressLog("x");
	const early = Array.fromAsync(log.follow(never));
	const step = log.begin("[1/1] RUN make");
	await step.log(1, Buffer.from("out\n"));
	step.status("layer", { current: 5, done: true });
	step.end(new Error("broken"));
	await step.log(1, Buffer.from("late"));
	log.begin("cached one").cached();
	log.end();
	const heard = await early;
	expect(await Array.fromAsync(log.follow(never))).toEqual(heard);
	const [begun, said, status, ended] = heard;
	expect(begun?.vertexes?.[0]).toMatchObject({ name: "[1/1] RUN make", completed: undefined, error: "" });
	expect(Buffer.from(said?.logs?.[0]?.msg ?? []).toString()).toBe("out\n");
	expect(status?.statuses?.[0]).toMatchObject({ ID: "layer", current: 5 });
	expect(ended?.vertexes?.[0]).toMatchObject({ error: "broken", digest: begun?.vertexes?.[0]?.digest });
	expect(heard).toHaveLength(5);
});

test("steps of one name are told apart", async () => {
	const log = new ProgressLog("x");
	log.begin("same");
	log.begin("same");
	log.end();
	const digests = (await Array.fromAsync(log.follow(never))).map(({ vertexes }) => vertexes?.[0]?.digest);
	expect(new Set(digests).size).toBe(2);
});

test("of a step that writes without end the client hears 2 MiB", async () => {
	const log = new ProgressLog("x");
	const step = log.begin("RUN yes");
	for (let i = 0; i < 40; i++) await step.log(1, Buffer.alloc(100_000, "y"));
	log.end();
	const all = (await Array.fromAsync(log.follow(never))).flatMap(({ logs = [] }) => logs.map(({ msg }) => msg));
	expect(all.reduce((sum, { length }) => sum + length, 0)).toBeLessThan((2 << 20) + 100);
	expect(Buffer.from(all.at(-1) ?? []).toString()).toContain("log limit 2MiB reached");
});

test("a result is handed to another target as a definition that says its image", () => {
	const id = `sha256:${"a".repeat(64)}`;
	expect(imageOf(definitionOf(id))).toBe(id);
	expect(imageOf({ def: [], metadata: new Map() })).toBeUndefined();
});
