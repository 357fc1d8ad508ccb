import { testLogDriver } from "./conformance.ts";
import { createLogReader } from "./files/reader.ts";
import { openJsonFileLog } from "./json-file/writer.ts";
import { openLocalLog } from "./local/writer.ts";
import { nonBlocking } from "./non-blocking.ts";

const reader = createLogReader();
testLogDriver("json-file", { format: "json-file", reader, open: openJsonFileLog });
testLogDriver("local", { format: "local", reader, open: openLocalLog });
testLogDriver("local, non-blocking", {
	format: "local",
	reader,
	open: (options) => nonBlocking(openLocalLog(options), 16 << 20),
});
