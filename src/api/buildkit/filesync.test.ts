import { expect, test } from "bun:test";
import { Duplex } from "node:stream";
import type { ImageFiles, TreeEntry, TreeReceiver } from "../../engine/build/contract.ts";
import { sendTree } from "./export-files.ts";
import { goMode, linuxMode, receiveTree } from "./filesync.ts";
import type { OpenCall } from "./grpc.ts";
import { PACKET, packet } from "./messages.ts";

/** Two ends of a call: what one sends the other reads. */
function callPair(): [OpenCall, OpenCall] {
	const queues = [channel(), channel()] as const;
	const end = (mine: number): OpenCall => ({
		stream: new Duplex(),
		messages: queues[1 - mine]?.read() as AsyncIterable<Uint8Array>,
		send: async (one) => queues[mine]?.write(one.slice()),
		end: () => queues[mine]?.write(undefined),
		cancel: () => queues[mine]?.write(undefined),
	});
	return [end(0), end(1)];
}

function channel() {
	const waiting: (Uint8Array | undefined)[] = [];
	let wake = () => {};
	return {
		write(one: Uint8Array | undefined) {
			waiting.push(one);
			wake();
		},
		async *read(): AsyncGenerator<Uint8Array> {
			for (;;) {
				for (const one of waiting.splice(0)) {
					if (one === undefined) return;
					yield one;
				}
				await new Promise<void>((resolve) => {
					wake = resolve;
					setImmediate(resolve);
				});
			}
		},
	};
}

const entry = (path: string, mode: number, size = 0): TreeEntry => ({
	...{ path, mode, uid: 0, gid: 5, size, modified: 1_700_000_000_123_456_789n, linkName: "", xattrs: new Map() },
});

function memory(wanted: (path: string) => boolean) {
	const entries: TreeEntry[] = [];
	const contents = new Map<string, string>();
	const receiver: TreeReceiver = {
		entry: (one) => {
			entries.push(one);
			return (one.mode & 0o170000) === 0o100000 && wanted(one.path);
		},
		content: (path, bytes) => contents.set(path, (contents.get(path) ?? "") + Buffer.from(bytes).toString()),
	};
	return { entries, contents, receiver };
}

test("a tree that is sent is received: entries with all they are, contents of those that are asked for", async () => {
	const sent = [entry("a", 0o040755), entry("a/f", 0o104644, 3), entry("b", 0o100600, 2), entry("c", 0o100600)];
	const files = {
		entries: () => sent,
		async *content(path: string) {
			for (const char of { "a/f": "xyz", b: "no", c: "" }[path] ?? "?") yield Buffer.from(char);
		},
	} as unknown as ImageFiles;
	const { entries, contents, receiver } = memory((path) => path !== "b");
	const [client, engine] = callPair();
	await Promise.all([sendTree(client, files, () => {}), receiveTree(engine, receiver)]);
	expect(entries).toEqual(sent);
	expect([...contents]).toEqual([
		["a/f", "xyz"],
		["c", ""],
	]);
});

test("thousands of files are asked for a part at a time", async () => {
	const sent = Array.from({ length: 3000 }, (_, i) => entry(`f${i}`, 0o100644, 1));
	const files = {
		entries: () => sent,
		async *content(path: string) {
			yield Buffer.from(path);
		},
	} as unknown as ImageFiles;
	const { contents, receiver } = memory(() => true);
	const [client, engine] = callPair();
	await Promise.all([sendTree(client, files, () => {}), receiveTree(engine, receiver)]);
	expect(contents.size).toBe(3000);
	expect([...contents].every(([path, text]) => path === text)).toBe(true);
});

test("an error of the client, content nobody asked for, and an early end are errors", async () => {
	const outcomes: unknown[] = [];
	for (const say of [
		{ type: PACKET.error, data: Buffer.from("permission denied") },
		{ type: PACKET.data, ID: 7, data: Buffer.from("x") },
		undefined,
	]) {
		const [client, engine] = callPair();
		if (say) await client.send(packet.encode(say));
		client.end();
		outcomes.push(await receiveTree(engine, memory(() => true).receiver).catch((error: Error) => error.message));
	}
	expect(outcomes).toEqual([
		"permission denied",
		"content of file 7 was not asked for",
		"the client has left before all files came",
	]);
});

test("modes of Go and of Linux stand for each other", () => {
	for (const mode of [0o100644, 0o040755, 0o120777, 0o010600, 0o140600, 0o104755, 0o102755, 0o041777]) {
		expect(linuxMode(goMode(mode)).toString(8)).toBe(mode.toString(8));
	}
	// os.ModeDir | os.ModeSticky | 0777; os.ModeDevice | os.ModeCharDevice | 0660
	expect([linuxMode(0x80100000 + 0o777), linuxMode(0x04200000 + 0o660)]).toEqual([0o041777, 0o020660]);
});
