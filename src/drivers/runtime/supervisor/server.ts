import { chmodSync, rmSync } from "node:fs";
import type { Socket, UnixSocketListener } from "bun";
import { EngineError } from "../../../shared/errors.ts";
import type { ProcessExit } from "../driver.ts";
import { errorReply, type Greeting, LineSplitter, type Operations, type Reply, type Request } from "../protocol.ts";
import { AttachedClient } from "./attachments.ts";
import type { SupervisedProcess } from "./process.ts";
import type { Supervisor } from "./supervisor.ts";

/** What one connection is: nothing said yet, a daemon's control line, or an attached client. */
interface Connection {
	readonly lines: LineSplitter;
	control?: AttachedClient;
	attached?: { readonly client: AttachedClient; readonly process: SupervisedProcess; readonly stdin: boolean };
	/** Bytes of stdin on their way to the process; above a limit the socket is paused, and then its close is not seen. */
	pendingInput: number;
}

type Peer = Socket<Connection>;

/** The supervisor's unix socket. */
export interface SupervisorServer {
	/** Tells every daemon that is connected. */
	announce(exit: ProcessExit): void;
	/** Number of control connections. */
	readonly daemons: number;
	/** Listens again at the path, which someone has removed. Connections stay. */
	listenAgain(): void;
	close(): void;
}

/** Listens on `path` (0600). `shutdown` is called on that request, once it has been answered. */
export function serveSupervisor(path: string, supervisor: () => Supervisor, shutdown: () => void): SupervisorServer {
	const daemons = new Set<AttachedClient>();
	const on = { supervisor, shutdown, daemons };
	let listener = listen(path, on);
	return {
		announce(exit) {
			const line = encode({ exit });
			for (const daemon of daemons) daemon.send(line);
		},
		get daemons() {
			return daemons.size;
		},
		listenAgain() {
			listener.stop();
			listener = listen(path, on);
		},
		close: () => listener.stop(),
	};
}

function listen(path: string, on: Context): UnixSocketListener<Connection> {
	rmSync(path, { force: true });
	const listener = Bun.listen<Connection>({
		unix: path,
		allowHalfOpen: true,
		socket: {
			open: (socket) => {
				socket.data = { lines: new LineSplitter(), pendingInput: 0 };
			},
			data: (socket, chunk) => receive(socket, chunk, on),
			drain: ({ data }) => (data.attached?.client ?? data.control)?.drain(),
			end: (socket) => finishInput(socket),
			close: (socket) => forget(socket, on),
			error: (socket) => forget(socket, on),
		},
	});
	chmodSync(path, 0o600);
	return listener;
}

const INPUT_BYTES = 256 * 1024;

interface Context {
	readonly supervisor: () => Supervisor;
	readonly shutdown: () => void;
	readonly daemons: Set<AttachedClient>;
}

function receive(socket: Peer, chunk: Uint8Array, context: Context): void {
	const { data } = socket;
	if (data.attached) {
		passInput(socket, chunk);
		return;
	}
	for (const line of data.lines.push(chunk)) {
		if (data.control) serve(data.control, JSON.parse(line) as Request, context);
		else greet(socket, JSON.parse(line) as Greeting, context);
		if (data.attached) {
			passInput(socket, data.lines.remainder());
			return;
		}
	}
}

function greet(socket: Peer, greeting: Greeting, { supervisor, daemons }: Context): void {
	if (greeting.open === "control") {
		socket.data.control = new AttachedClient(socket, { stdin: true, stdout: true, stderr: true });
		daemons.add(socket.data.control);
		return;
	}
	const client = new AttachedClient(socket, greeting.streams);
	const process = supervisor().process(greeting.processId);
	socket.data.attached = { client, process, stdin: greeting.streams.stdin };
	client.send(encode({ id: 0, output: null }));
	process.attach(client);
}

function passInput(socket: Peer, chunk: Uint8Array): void {
	const { data } = socket;
	if (!data.attached?.stdin || data.attached.client.over || chunk.length === 0) return;
	data.pendingInput += chunk.length;
	if (data.pendingInput > INPUT_BYTES) socket.pause();
	// A copy: Bun may use its buffer again before the process takes this.
	data.attached.process.input.write(chunk.slice()).then(() => {
		data.pendingInput -= chunk.length;
		if (data.pendingInput <= INPUT_BYTES) socket.resume();
	});
}

function finishInput(socket: Peer): void {
	const { attached } = socket.data;
	if (!attached) {
		socket.end();
		return;
	}
	if (attached.stdin) attached.process.inputEnded();
}

function forget(socket: Peer, { supervisor, daemons }: Context): void {
	const { attached, control } = socket.data;
	if (control) {
		daemons.delete(control);
		control.close();
	}
	if (!attached) return;
	attached.process.clients.remove(attached.client);
	if (attached.stdin) attached.process.inputEnded();
	supervisor().dropUnstarted(attached.process);
}

async function serve(client: AttachedClient, { id, call, input }: Request, context: Context): Promise<void> {
	try {
		const output = await operate(context, call, input);
		client.send(encode({ id, output }));
		if (call === "shutdown") setTimeout(context.shutdown, 10);
	} catch (error) {
		client.send(encode(errorReply(id, error)));
	}
}

type Handlers = { [Name in keyof Operations]: (input: Operations[Name]["input"]) => unknown };

function operate({ supervisor }: Context, call: keyof Operations, input: unknown): unknown {
	const owner = supervisor();
	const handlers: Handlers = {
		start: (given) => owner.start(given),
		exec: (given) => owner.exec(given),
		kill: ({ processId, signal, all }) => owner.kill(processId, signal, all),
		resize: ({ processId, rows, columns }) => owner.resize(processId, rows, columns),
		pause: ({ containerId }) => owner.pause(containerId),
		resume: ({ containerId }) => owner.resume(containerId),
		pids: ({ containerId }) => owner.pids(containerId),
		usage: ({ containerId }) => owner.usage(containerId),
		update: ({ containerId, resources }) => owner.update(containerId, resources),
		terminal: ({ processId, pid, fd }) => owner.process(processId).takeTerminal(pid, fd),
		list: () => owner.list(),
		release: ({ processId }) => owner.release(processId),
		shutdown: () => {
			if (owner.busy) throw new EngineError("conflict", "cannot shut down: a process is running");
		},
	};
	return (handlers[call] as (given: unknown) => unknown)(input);
}

function encode(message: Reply | { readonly exit: ProcessExit }): Uint8Array {
	return Buffer.from(`${JSON.stringify(message)}\n`);
}
