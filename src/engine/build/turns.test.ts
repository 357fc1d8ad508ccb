import { expect, test } from "bun:test";
import { Turns } from "./turns.ts";

test("so many at once, the others after them, also after failures", async () => {
	const turns = new Turns(2);
	let [now, most] = [0, 0];
	const work = Array.from({ length: 6 }, (_, i) =>
		turns.take(async () => {
			most = Math.max(most, ++now);
			await Bun.sleep(1);
			now--;
			if (i === 1) throw new Error("failed");
			return i;
		}),
	);
	const ended = await Promise.allSettled(work);
	expect([most, ended.filter(({ status }) => status === "fulfilled").length]).toEqual([2, 5]);
});
