import { expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { receiveDatagrams } from "../../../sys/linux/datagram.ts";
import { openJournaldLog } from "./writer.ts";

/** Fields of an entry in journald's native protocol. */
function parse(entry: Buffer): Record<string, string> {
	const fields: Record<string, string> = {};
	for (let at = 0; at < entry.length; ) {
		const end = entry.indexOf(10, at);
		const [name = "", value] = entry.toString("utf8", at, end).split(/=(.*)/s);
		if (value !== undefined) {
			fields[name] = value;
			at = end + 1;
			continue;
		}
		const length = Number(entry.readBigUInt64LE(end + 1));
		fields[name] = entry.toString("utf8", end + 9, end + 9 + length);
		at = end + 10 + length;
	}
	return fields;
}

test("lines become entries with their fields; without a journal it is refused in docker's words", async () => {
	const root = mkdtempSync(join(tmpdir(), "journald-"));
	try {
		const path = join(root, "socket");
		expect(() => openJournaldLog({}, path)).toThrow("journald is not enabled on this host");
		const journal = receiveDatagrams(path);
		const log = openJournaldLog({ CONTAINER_NAME: "web", NOTE: "two\nlines" }, path);
		await log.write("stdout", Buffer.from("one=1\n\nlast"));
		await log.write("stderr", Buffer.from("bad\n"));
		await log.close();
		const entries = Array.from({ length: 4 }, () => journal.next()).map((entry) => entry && parse(entry));
		journal.close();
		const common = { CONTAINER_NAME: "web", NOTE: "two\nlines", SYSLOG_TIMESTAMP: expect.any(String) };
		expect(entries).toEqual([
			{ ...common, PRIORITY: "6", MESSAGE: "one=1" },
			{ ...common, PRIORITY: "3", MESSAGE: "bad" },
			{ ...common, PRIORITY: "6", MESSAGE: "last", CONTAINER_PARTIAL_MESSAGE: "true" },
			undefined,
		]);
	} finally {
		rmSync(root, { recursive: true, force: true });
	}
});
