import { readdirSync, readFileSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { CheckFailed, eventually } from "../../lib/assert.ts";
import type { Lab } from "../../lib/scenario.ts";

const ANSWER_WITHIN_MS = 5000;

export const socketOf = ({ engine }: Lab) => engine.host.slice("unix://".length);

/** A connection that is used as it is; errors are its end. Refused while too many wait to be taken, it tries again. */
export async function open(lab: Lab): Promise<Socket> {
	return eventually("a connection", async () => {
		const socket = connect({ path: socketOf(lab), allowHalfOpen: true });
		await new Promise((resolve, reject) => socket.once("connect", resolve).once("error", reject));
		socket.on("error", () => {});
		return socket;
	});
}

/** What comes back for these bytes until the end, or until nothing comes for a moment. */
export async function sendRaw(lab: Lab, bytes: string): Promise<string> {
	const socket = await open(lab);
	let text = "";
	const { promise, resolve } = Promise.withResolvers<void>();
	let timer = setTimeout(resolve, ANSWER_WITHIN_MS);
	socket.on("data", (chunk) => {
		text += chunk;
		clearTimeout(timer);
		timer = setTimeout(resolve, 200);
	});
	for (const event of ["end", "close"]) socket.once(event, () => resolve());
	socket.write(bytes);
	await promise;
	clearTimeout(timer);
	socket.destroy();
	return text;
}

/** Writes `piece` again and again until the engine takes no more for a second, or `most` bytes are through; the bytes. */
export async function flood(lab: Lab, head: string, piece: string, most: number): Promise<number> {
	const socket = await open(lab);
	socket.resume();
	let closed = false;
	const closing = new Promise((resolve) => socket.once("close", resolve)).then(() => {
		closed = true;
		return true;
	});
	socket.write(head);
	let sent = 0;
	while (!closed && sent < most) {
		const isTaken = socket.write(piece);
		sent += piece.length;
		if (isTaken) continue;
		const drained = new Promise((resolve) => socket.once("drain", () => resolve(true)));
		if (!(await Promise.race([drained, closing, Bun.sleep(1000).then(() => false)]))) break;
	}
	socket.destroy();
	return sent;
}

/** Milliseconds that the slowest of some `/_ping` on connections of their own takes. */
export async function slowestPing(lab: Lab, times = 20): Promise<number> {
	let slowest = 0;
	for (let i = 0; i < times; i++) {
		const start = performance.now();
		const text = await fetch("http://d/_ping", { unix: socketOf(lab), keepalive: false }).then((reply) => reply.text());
		if (text !== "OK") throw new CheckFailed(`ping answered ${JSON.stringify(text)}`);
		slowest = Math.max(slowest, performance.now() - start);
	}
	return slowest;
}

/** What the daemon holds: MB of memory, and open descriptors. */
export function heldBy({ engine }: Lab): { memory: number; descriptors: number } {
	const status = readFileSync(`/proc/${engine.pid}/status`, "utf8");
	const memory = Number(/^VmRSS:\s+(\d+)/m.exec(status)?.[1] ?? 0) / 1024;
	return { memory, descriptors: readdirSync(`/proc/${engine.pid}/fd`).length };
}
