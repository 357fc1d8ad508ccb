import { expect, test } from "bun:test";
import { AttachedClient, Attachments } from "./attachments.ts";

const ALL = { stdin: false, stdout: true, stderr: true };
const MEGABYTES = new Uint8Array(2 * 1024 * 1024);

/** A socket that takes as much as it is told. */
function socket(room: number) {
	const state = { room, terminated: false, ended: false };
	return {
		state,
		write(data: Uint8Array) {
			const taken = Math.min(data.length, state.room);
			state.room -= taken;
			return taken;
		},
		shutdown: () => {
			state.ended = true;
		},
		resume: () => {},
		terminate: () => {
			state.terminated = true;
		},
	};
}

test("a client that takes no byte for its bound is dropped, and what it held back goes on", async () => {
	const stuck = socket(0);
	const attachments = new Attachments();
	attachments.add(new AttachedClient(stuck, ALL, 40));
	const from = performance.now();
	// both streams wait for the same client
	await Promise.all([attachments.write("stdout", MEGABYTES, true), attachments.write("stderr", MEGABYTES, true)]);
	expect(performance.now() - from).toBeGreaterThan(35);
	expect(stuck.state.terminated).toBe(true);
	expect(attachments.write("stdout", MEGABYTES, true)).toBeUndefined();
});

test("a slow client holds both streams back until it has room, and gets all before the end", async () => {
	const slow = socket(1000);
	const client = new AttachedClient(slow, ALL, 10_000);
	const waits = [client.send(MEGABYTES), client.send(MEGABYTES)];
	client.end();
	slow.state.room = 4 * MEGABYTES.length;
	client.drain();
	await Promise.all(waits);
	expect(waits.every((wait) => wait instanceof Promise)).toBe(true);
	expect(slow.state).toMatchObject({ terminated: false, ended: true, room: 2 * MEGABYTES.length + 1000 });
});
