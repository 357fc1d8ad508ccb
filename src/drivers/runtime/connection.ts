import { connect, type Socket } from "node:net";
import { EngineError } from "../../shared/errors.ts";
import type { ProcessExit } from "./driver.ts";
import {
	type ExitNotice,
	type Greeting,
	LineSplitter,
	type OperationName,
	type Operations,
	type Reply,
} from "./protocol.ts";

/** The driver's side of a control connection. */
export interface SupervisorConnection {
	call<Name extends OperationName>(name: Name, input: Operations[Name]["input"]): Promise<Operations[Name]["output"]>;
	/** False from the moment in which calls under way fail. */
	readonly alive: boolean;
	/** Resolves when the connection is gone; calls under way have failed by then. */
	readonly closed: Promise<void>;
	close(): void;
}

interface Waiting {
	resolve(output: unknown): void;
	reject(error: Error): void;
}

/** Connects to the supervisor's socket. Rejects when nobody listens. */
export async function connectSupervisor(
	path: string,
	onExit: (exit: ProcessExit) => void,
): Promise<SupervisorConnection> {
	const socket = await openSocket(path, false);
	const waiting = new Map<number, Waiting>();
	const lines = new LineSplitter();
	let lastId = 0;
	const take = (message: Reply | ExitNotice) => {
		if ("exit" in message) return onExit(message.exit);
		const call = waiting.get(message.id);
		waiting.delete(message.id);
		if (message.error) call?.reject(new EngineError(message.error.code, message.error.message));
		else call?.resolve(message.output);
	};
	socket.on("data", (chunk: Buffer) => {
		for (const line of lines.push(chunk)) take(JSON.parse(line) as Reply | ExitNotice);
	});
	const closed = new Promise<void>((resolve) => {
		socket.on("close", () => {
			for (const { reject } of waiting.values()) reject(new EngineError("unavailable", "the supervisor has gone away"));
			waiting.clear();
			resolve();
		});
	});
	send(socket, { open: "control" });
	return {
		closed,
		get alive() {
			return !socket.destroyed;
		},
		call: (name, input) =>
			new Promise((resolve, reject) => {
				if (socket.destroyed) return reject(new EngineError("unavailable", "the supervisor has gone away"));
				const id = ++lastId;
				waiting.set(id, { resolve: resolve as (output: unknown) => void, reject });
				send(socket, { id, call: name, input });
			}),
		close: () => void socket.destroy(),
	};
}

/** Opens an attach connection; resolves once the supervisor has taken the client in, so that no later output is missed. */
export async function connectAttach(path: string, greeting: Greeting): Promise<Socket> {
	const socket = await openSocket(path, true);
	send(socket, greeting);
	const lines = new LineSplitter();
	await new Promise<void>((resolve, reject) => {
		const onData = (chunk: Buffer) => {
			const [line] = lines.push(chunk);
			if (line === undefined) return;
			// More lines would be output that looks like lines: put everything after the first back.
			const rest = chunk.subarray(chunk.indexOf(10) + 1);
			socket.off("data", onData).off("close", onClose).pause();
			if (rest.length > 0) socket.unshift(rest);
			resolve();
		};
		const onClose = () => reject(new EngineError("unavailable", "the supervisor has gone away"));
		socket.on("data", onData).on("close", onClose);
	});
	return socket;
}

function send(socket: Socket, message: unknown): void {
	socket.write(`${JSON.stringify(message)}\n`);
}

function openSocket(path: string, allowHalfOpen: boolean): Promise<Socket> {
	return new Promise((resolve, reject) => {
		const socket = connect({ path, allowHalfOpen });
		socket.once("error", reject);
		socket.once("connect", () => {
			socket.off("error", reject);
			// A broken connection is seen as its close.
			socket.on("error", () => {});
			resolve(socket);
		});
	});
}
