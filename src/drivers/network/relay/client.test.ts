import { expect, test } from "bun:test";
import { silentLogger } from "../../../shared/log.ts";
import { createPortRelay } from "./client.ts";

test("a relay that is not there is tried again, and its absence is nobody's fault", async () => {
	const faults: unknown[] = [];
	const note = (error: unknown) => void faults.push(error);
	process.on("uncaughtException", note);
	const relay = createPortRelay("/nonexistent/relay.sock", silentLogger);
	relay.keep([]);
	await Bun.sleep(150);
	relay.close();
	process.off("uncaughtException", note);
	expect(faults).toEqual([]);
});
