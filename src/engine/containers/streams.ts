import { Duplex, Readable } from "node:stream";
import { EngineError } from "../../shared/errors.ts";
import { type Context, find, isRunning, publish } from "./context.ts";
import type { AttachRequest, LogsRequest } from "./contract.ts";
import { logFile } from "./log-config.ts";
import type { ContainerRecord } from "./record.ts";
import { notRunning } from "./stop.ts";

/** Contract: Containers.logs. Follows a container that runs or is about to be restarted until it has ended. */
export function logs(context: Context, ref: string, request: LogsRequest, signal: AbortSignal) {
	const record = find(context, ref);
	if (!logFile(context, record)) {
		throw new EngineError("not-implemented", "configured logging driver does not support reading");
	}
	const follow = request.follow && goesOn(record);
	return { tty: record.config.Tty, chunks: readLog(context, record, { ...request, follow }, signal) };
}

async function* readLog(context: Context, record: ContainerRecord, request: LogsRequest, signal: AbortSignal) {
	const file = logFile(context, record);
	if (!file) return;
	const stopWaiting = new AbortController();
	const ended = request.follow ? finished(context, record.id, stopWaiting.signal) : undefined;
	try {
		const options = { ...request, format: file.format, raw: record.config.Tty, ended };
		yield* context.logs.read(file.path, options, signal);
	} finally {
		stopWaiting.abort();
	}
}

function goesOn({ state }: ContainerRecord): boolean {
	return isRunning(state) || state.status === "restarting";
}

/** Resolves once the container has ended and no restart is coming. */
async function finished(context: Context, id: string, signal: AbortSignal): Promise<void> {
	while (!signal.aborted) {
		const waiter = context.waits.on(id, "exit");
		const cancel = () => waiter.cancel();
		signal.addEventListener("abort", cancel, { once: true });
		const record = context.store.get(id);
		if (!record || !goesOn(record)) {
			waiter.cancel();
			return;
		}
		await waiter.result;
	}
}

/** Contract: Containers.attach. */
export async function attach(context: Context, ref: string, request: AttachRequest) {
	const record = find(context, ref);
	const { id, config } = record;
	if (record.state.status === "paused") {
		throw new EngineError("conflict", `container ${id} is paused, unpause the container before attach`);
	}
	if (record.state.status === "restarting") {
		throw new EngineError("conflict", `container ${id} is restarting, wait until the container is running`);
	}
	const { stdout, stderr } = request;
	const live = request.stream
		? await context.runtime.attach(id, { stdin: request.stdin && config.OpenStdin, stdout, stderr })
		: undefined;
	publish(context, record, "attach");
	const stream = request.logs ? withReplay(replay(context, record, { stdout, stderr }), live) : (live ?? empty());
	return { tty: config.Tty, stream, detached: () => publish(context, record, "detach") };
}

function replay(context: Context, record: ContainerRecord, streams: { stdout: boolean; stderr: boolean }) {
	const request = { ...streams, timestamps: false, follow: false };
	return readLog(context, record, request, new AbortController().signal);
}

/** First the log, then what the process writes from now on; input goes straight to the process. */
function withReplay(log: AsyncIterable<Uint8Array> | Iterable<Uint8Array>, live: Duplex | undefined): Duplex {
	const output = Readable.from(
		(async function* () {
			yield* log;
			if (live) yield* live as AsyncIterable<Uint8Array>;
		})(),
		{ objectMode: false },
	);
	output.on("end", () => joined.push(null));
	output.on("data", (chunk) => {
		if (!joined.push(chunk)) output.pause();
	});
	output.on("error", (error) => joined.destroy(error));
	output.pause();
	const joined: Duplex = new Duplex({
		allowHalfOpen: true,
		read: () => void output.resume(),
		write: (chunk, _encoding, done) => {
			if (live) live.write(chunk, done);
			else done();
		},
		final: (done) => {
			if (live) live.end(done);
			else done();
		},
		destroy: (error, done) => {
			output.destroy();
			live?.destroy();
			done(error);
		},
	});
	return joined;
}

function empty(): Duplex {
	return withReplay([], undefined);
}

/** Contract: Containers.resize. */
export async function resize(context: Context, ref: string, rows: number, columns: number): Promise<void> {
	const record = find(context, ref);
	if (!isRunning(record.state)) throw notRunning(record.id);
	// Without a terminal there is nothing to do, and docker says so to nobody.
	if (record.config.Tty) await context.runtime.resize(record.id, rows, columns);
	publish(context, record, "resize", { height: String(rows), width: String(columns) });
}
