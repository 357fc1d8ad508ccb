import type { Descriptor } from "../../oci/manifest.ts";
import type { Reference } from "../../oci/reference.ts";
import { EngineError } from "../../shared/errors.ts";
import { refusal, type Send } from "./calls.ts";
import type { RegistryOptions } from "./driver.ts";
import type { Endpoint, Endpoints } from "./endpoints.ts";
import { RegistryFailure } from "./failure.ts";
import { pullScope } from "./scopes.ts";
import { ATTEMPTS, delayBefore, type Timing } from "./timing.ts";
import type { Answer } from "./transport.ts";

/** So much must have come before a connection that breaks again is taken for a new trouble and not for the old one. */
const PROGRESS = 1024 * 1024;

type Blob = Pick<Descriptor, "digest" | "size">;

interface Opened {
	readonly endpoint: Endpoint;
	readonly answer: Answer;
	/** Bytes at the head of the answer that the reader already has. */
	readonly skip: number;
}

/**
 * Reads a blob; a connection that breaks or stalls is taken up again where it stopped, after the usual back-off, on the next endpoint if
 * it was a mirror's. At most one chunk is held beside what the socket buffers. Throws RegistryFailure; "internal" for a wrong size.
 */
export async function* readBlob(
	parts: { send: Send; endpoints: Endpoints; timing: Timing },
	repository: Reference,
	blob: Blob,
	options: RegistryOptions,
): AsyncGenerator<Uint8Array> {
	const { timing, endpoints } = parts;
	let [offset, attempt, settled] = [0, 1, 0];
	for (;;) {
		try {
			const open = (endpoint: Endpoint) => openBlob(parts.send, endpoint, repository, blob, offset, options);
			const opened = await endpoints.onEach(repository.domain, "pull", options.signal, open);
			for await (const chunk of readAnswer(opened, blob, offset, options.signal)) {
				offset += chunk.length;
				yield chunk;
			}
			if (offset === blob.size) return;
			throw new RegistryFailure(`blob ${blob.digest} broke off at byte ${offset} of ${blob.size}`, { transient: true });
		} catch (error) {
			if (!(error instanceof RegistryFailure) || !error.transient) throw error;
			if (offset - settled >= PROGRESS) attempt = 1;
			settled = offset;
			if (attempt === ATTEMPTS) throw error;
			await timing.sleep(delayBefore(attempt, error, timing), options.signal);
			attempt++;
		}
	}
}

async function openBlob(
	send: Send,
	endpoint: Endpoint,
	repository: Reference,
	blob: Blob,
	offset: number,
	{ credentials, signal }: RegistryOptions,
): Promise<Opened> {
	const answer = await send(endpoint, {
		method: "GET",
		path: `${repository.path}/blobs/${blob.digest}`,
		scopes: [pullScope(repository)],
		headers: offset > 0 ? { Range: `bytes=${offset}-` } : {},
		accept: [200, 206, 416],
		credentials,
		signal,
	});
	const { response, watchdog } = answer;
	if (response.status === 416) {
		watchdog.end();
		throw wrongSize(blob, `ends before byte ${offset}`);
	}
	const from = response.status === 206 ? rangeStart(response) : 0;
	const length = Number(response.headers.get("content-length") ?? Number.NaN);
	if (from === undefined || from > offset || (response.status === 206 && offset === 0)) {
		const failure = await refusal(answer, Date.now());
		throw new RegistryFailure(`blob ${blob.digest}: asked for byte ${offset}, got another range`, { cause: failure });
	}
	if (!Number.isNaN(length) && from + length !== blob.size) {
		watchdog.end();
		throw wrongSize(blob, `has ${from + length} bytes in the registry${pageNote(response)}`);
	}
	return { endpoint, answer, skip: offset - from };
}

/** The chunks from `offset` on. The time limit runs only while the registry is waited for, never while the reader is. */
async function* readAnswer(
	{ endpoint, answer: { response, watchdog }, skip }: Opened,
	blob: Blob,
	offset: number,
	signal: AbortSignal | undefined,
): AsyncGenerator<Uint8Array> {
	let [left, position] = [skip, offset - skip];
	const reader = response.body?.getReader();
	try {
		for (;;) {
			watchdog.touch();
			const chunk = await reader?.read();
			watchdog.pause();
			if (chunk?.value === undefined) return;
			position += chunk.value.length;
			if (position > blob.size) throw wrongSize(blob, `goes on after byte ${blob.size}`);
			const fresh = left === 0 ? chunk.value : chunk.value.subarray(left);
			left = Math.max(0, left - chunk.value.length);
			if (fresh.length > 0) yield fresh;
		}
	} catch (cause) {
		if (cause instanceof EngineError) throw cause;
		signal?.throwIfAborted();
		endpoint.forget();
		const why = watchdog.fired ? "the registry stopped sending" : "the connection broke";
		throw new RegistryFailure(`blob ${blob.digest}: ${why} at byte ${position} of ${blob.size}`, {
			transient: true,
			cause,
		});
	} finally {
		watchdog.end();
	}
}

function rangeStart(response: Response): number | undefined {
	const match = /^bytes (\d+)-/.exec(response.headers.get("content-range") ?? "");
	return match ? Number(match[1]) : undefined;
}

function pageNote(response: Response): string {
	return response.headers.get("content-type")?.startsWith("text/html") ? " (a web page, text/html)" : "";
}

function wrongSize(blob: Blob, what: string): EngineError {
	return new EngineError("internal", `blob ${blob.digest} should have ${blob.size} bytes and ${what}`);
}
