import { expect, test } from "bun:test";
import { BuildJobs } from "./jobs.ts";

const never = new AbortController().signal;
const asked = { frontend: "", attributes: new Map(), exporters: [], internal: false };

test("a call that names a build waits for its beginning, and not for one that is over", async () => {
	const jobs = new BuildJobs();
	const early = jobs.get("a", never);
	const job = jobs.create("a", asked);
	expect(await early).toBe(job);
	expect(() => jobs.create("a", asked)).toThrow("job ID a exists");
	job.begin({} as never, []);
	jobs.end(job, { response: {} });
	expect(await jobs.get("a", never)).toBe(job);
	await expect(job.begun()).rejects.toThrow("no such job a");
});

test("a call whose client leaves waits no longer", async () => {
	const gone = new AbortController();
	const waiting = new BuildJobs().get("none", gone.signal);
	gone.abort();
	await expect(waiting).rejects.toThrow("no such job none");
});

test("results are disposed of with their build, also those that come too late", () => {
	const jobs = new BuildJobs();
	const job = jobs.create("a", asked);
	const disposed: string[] = [];
	const result = (name: string) => ({ [Symbol.dispose]: () => void disposed.push(name) }) as never;
	job.keep(result("one"));
	jobs.end(job, { response: {} });
	expect(() => job.keep(result("late"))).toThrow("context canceled");
	expect(disposed).toEqual(["one", "late"]);
});

test("the last fifty builds are remembered, fewer when they wrote much", async () => {
	const jobs = new BuildJobs();
	const run = async (ref: string, bytes: number) => {
		const job = jobs.create(ref, { ...asked, internal: ref === "internal" });
		for (let left = bytes; left > 0; left -= 1 << 20) {
			await job.progress.begin("x").log(1, Buffer.alloc(1 << 20));
		}
		jobs.end(job, { response: {} });
	};
	for (let i = 0; i < 60; i++) await run(`b${i}`, 0);
	expect(jobs.list().map(({ ref }) => ref)).toEqual(Array.from({ length: 50 }, (_, i) => `b${i + 10}`));
	await run("internal", 0);
	expect(jobs.list().at(-1)?.ref).toBe("b59");
	await run("large", 17 << 20);
	expect(jobs.list().map(({ ref }) => ref)).toEqual(["large"]);
	jobs.forget("large");
	expect(jobs.list()).toEqual([]);
});

test("a listener of the history hears of changes until it leaves", async () => {
	const jobs = new BuildJobs();
	const gone = new AbortController();
	const first = jobs.changes.next(gone.signal);
	const job = jobs.create("a", asked);
	await first;
	const second = jobs.changes.next(gone.signal);
	jobs.end(job, { response: {} });
	await second;
	const third = jobs.changes.next(gone.signal);
	gone.abort();
	await third;
});
