import { chmodSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { createInterface } from "node:readline";
import { messageOf } from "../../../shared/errors.ts";
import type { Logger } from "../../../shared/log.ts";
import type { Change } from "./protocol.ts";
import { Relay } from "./relay.ts";

/** Takes a daemon's orders at the unix socket (0600). The ports stay open when the daemon goes; the next one says which it wants. */
export function serveRelay(path: string, log: Logger): { close(): void } {
	const relay = new Relay();
	rmSync(path, { force: true });
	const server = createServer((daemon) => {
		daemon.on("error", () => {});
		const obey = async (line: string) => {
			try {
				daemon.write(`${JSON.stringify(await relay.change(JSON.parse(line) as Change))}\n`);
			} catch (error) {
				log.error("ports not relayed", { error: messageOf(error) });
				daemon.destroy();
			}
		};
		createInterface({ input: daemon }).on("line", obey);
	});
	server.listen(path, () => chmodSync(path, 0o600));
	return {
		close() {
			relay.close();
			server.close();
			rmSync(path, { force: true });
		},
	};
}
