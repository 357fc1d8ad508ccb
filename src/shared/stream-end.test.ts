import { expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { connect, createServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { whenEnded } from "./stream-end.ts";

test("the end of a paused socket is learnt by who comes before it, and by who comes after", async () => {
	const directory = mkdtempSync(join(tmpdir(), "fd-end-"));
	const path = join(directory, "s");
	const server = createServer({ allowHalfOpen: true }, (peer) => void peer.end()).listen(path);
	const socket = await new Promise<Socket>((resolve) => {
		const made: Socket = connect({ path, allowHalfOpen: true }, () => resolve(made));
	});
	socket.pause();
	const told: string[] = [];
	whenEnded(socket, () => told.push("before"));
	await Bun.sleep(20);
	whenEnded(socket, () => told.push("after"));
	socket.resume();
	await Bun.sleep(20);
	expect(told).toEqual(["before", "after"]);
	socket.destroy();
	server.close();
	rmSync(directory, { recursive: true });
});
