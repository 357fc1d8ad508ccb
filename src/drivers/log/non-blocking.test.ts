import { expect, test } from "bun:test";
import type { LogWriter } from "./driver.ts";
import { both, nonBlocking } from "./non-blocking.ts";

/** A log that is behind until `catchUp`. */
function slowLog() {
	const written: string[] = [];
	const { promise: gate, resolve: catchUp } = Promise.withResolvers<void>();
	const log: LogWriter = {
		write(_stream, chunk) {
			written.push(Buffer.from(chunk).toString());
			return gate;
		},
		close: async () => {},
	};
	return { log, written, catchUp: () => catchUp() };
}

test("non-blocking: nobody waits, what fits is kept, the rest is lost", async () => {
	const { log, written, catchUp } = slowLog();
	const ring = nonBlocking(log, 4);
	for (const chunk of ["a", "bb", "cc", "d", "ee"]) expect(ring.write("stdout", Buffer.from(chunk))).toBeUndefined();
	expect(written).toEqual(["a"]);
	catchUp();
	await ring.close();
	expect(written).toEqual(["a", "bb", "cc"]);
});

test("non-blocking: a chunk larger than the buffer is kept when nothing else is", async () => {
	const { log, written, catchUp } = slowLog();
	const ring = nonBlocking(log, 1);
	for (const chunk of ["a", "long", "x"]) ring.write("stdout", Buffer.from(chunk));
	catchUp();
	await ring.close();
	expect(written).toEqual(["a", "long"]);
});

test("both: the slower one holds back", async () => {
	const [slow, other] = [slowLog(), slowLog()];
	other.catchUp();
	let settled = false;
	const wait = both(slow.log, other.log)
		.write("stdout", Buffer.from("x"))
		?.then(() => {
			settled = true;
		});
	await Bun.sleep(1);
	expect(settled).toBe(false);
	slow.catchUp();
	await wait;
	expect([slow.written, other.written]).toEqual([["x"], ["x"]]);
});
