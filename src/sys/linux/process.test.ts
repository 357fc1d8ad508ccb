import { expect, test } from "bun:test";
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { reapChild, spawnProcess } from "./process.ts";

test("a spawned program ignores and blocks no signal, and has three fds", async () => {
	const directory = mkdtempSync(join(tmpdir(), "foredeck-process-"));
	const out = openSync(join(directory, "out"), "w");
	const none = openSync("/dev/null", "r+");
	try {
		const script =
			"grep -E '^Sig(Ign|Blk)' /proc/self/status; for fd in 0 1 2 3 4 5 6 7 8 9; do [ -e /proc/$$/fd/$fd ] && echo $fd; done; true";
		const argv = ["/bin/sh", "-c", script];
		const pid = spawnProcess({ file: "/bin/sh", argv, env: [], stdio: [none, out, none] });
		let ended = reapChild(pid);
		while (!ended) {
			await Bun.sleep(2);
			ended = reapChild(pid);
		}
		expect(readFileSync(join(directory, "out"), "utf8")).toBe(
			`SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\n0\n1\n2\n`,
		);
	} finally {
		closeSync(out);
		closeSync(none);
		rmSync(directory, { recursive: true });
	}
});
