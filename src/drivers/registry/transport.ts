import { connectFailure, exchangeName } from "./connect-error.ts";
import { RegistryFailure } from "./failure.ts";
import type { Timing } from "./timing.ts";
import { type InsecureHosts, readTlsSettings, type TlsSettings } from "./trust.ts";
import { createWatchdog, type Watchdog } from "./watchdog.ts";

export interface Outgoing {
	readonly method: string;
	readonly url: URL;
	readonly headers: Readonly<Record<string, string>>;
	readonly body?: Uint8Array | string | AsyncIterable<Uint8Array>;
	readonly signal?: AbortSignal;
	/** The registry has much to do before it can answer. */
	readonly slow?: boolean;
}

/** An answer whose body may still be on its way. Who has it must read it to its end or `watchdog.end()` it. */
export interface Answer {
	readonly response: Response;
	/** Where the answer came from, after redirects. */
	readonly url: URL;
	readonly watchdog: Watchdog;
}

/** The registry that a request belongs to: what is trusted for its sake, redirects and token services included. */
export interface Origin {
	readonly url: URL;
	readonly tls: TlsSettings;
}

export interface Transport {
	/**
	 * Sends and follows redirects of GET and HEAD (at most 10, as Go's client). Authorization never reaches another origin.
	 * Throws RegistryFailure when there is no answer; every status is an answer.
	 */
	send(origin: Origin, outgoing: Outgoing): Promise<Answer>;
	tlsOf(domain: string, secure: boolean): Promise<TlsSettings>;
	readonly insecure: InsecureHosts;
}

const REDIRECT_LIMIT = 10;
const SLOW_FACTOR = 15;
const REDIRECTS = new Set([301, 302, 303, 307, 308]);

/**
 * HTTP as registries need it, over Bun's fetch (measured beside node:http: faster, and its bodies keep backpressure both ways).
 * Bodies come as they are on the wire: `identity` is asked for and nothing is decompressed, since digests are over those bytes.
 */
export function createTransport(settings: {
	certificates: string;
	userAgent: string;
	insecure: InsecureHosts;
	timing: Timing;
}): Transport {
	const { insecure, timing } = settings;
	const tlsOf = async (domain: string, secure: boolean): Promise<TlsSettings> =>
		secure ? await readTlsSettings(settings.certificates, domain) : { rejectUnauthorized: false };

	/** Another host that the registry points to: its own settings, plus the authorities trusted for the registry (as docker's one pool). */
	const tlsFor = async (origin: Origin, url: URL): Promise<TlsSettings> => {
		if (url.origin === origin.url.origin || url.protocol === "http:") return origin.tls;
		if (!origin.tls.rejectUnauthorized || insecure.isInsecure(url.host)) return { rejectUnauthorized: false };
		const own = await tlsOf(url.host, true);
		return { ...own, ca: [...(own.ca ?? []), ...(origin.tls.ca ?? [])] };
	};

	const exchange = async (origin: Origin, outgoing: Outgoing): Promise<Answer> => {
		outgoing.signal?.throwIfAborted();
		const watchdog = createWatchdog(timing.answerMs * (outgoing.slow ? SLOW_FACTOR : 1), outgoing.signal);
		const source: { failed?: unknown } = {};
		try {
			const response = await fetch(outgoing.url, {
				method: outgoing.method,
				headers: { "User-Agent": settings.userAgent, "Accept-Encoding": "identity", ...outgoing.headers },
				body: bodyOf(outgoing.body, watchdog, source),
				redirect: "manual",
				signal: watchdog.signal,
				decompress: false,
				// Bun's own time limit would cut a long blob; the watchdog is what watches
				timeout: false,
				tls: await tlsFor(origin, outgoing.url),
			} as BunFetchRequestInit);
			watchdog.pause();
			return { response, url: outgoing.url, watchdog };
		} catch (error) {
			watchdog.stop();
			outgoing.signal?.throwIfAborted();
			if ("failed" in source) throw source.failed;
			if (watchdog.fired) throw timedOut(outgoing);
			if (error instanceof RegistryFailure) throw error;
			// an insecure registry is tried over HTTP next, which says more
			const probe = origin.tls.rejectUnauthorized;
			throw await connectFailure(error, outgoing.method, outgoing.url, probe);
		}
	};

	return {
		insecure,
		tlsOf,
		async send(origin, outgoing) {
			let next = outgoing;
			for (let hops = 0; ; hops++) {
				const answer = await exchange(origin, next);
				const target = redirectOf(answer, outgoing);
				if (target === undefined) return answer;
				answer.watchdog.end();
				if (hops === REDIRECT_LIMIT) {
					throw new RegistryFailure(
						`${exchangeName(next.method, next.url)}: stopped after ${REDIRECT_LIMIT} redirects`,
					);
				}
				next = { ...next, url: target, headers: headersFor(next, target) };
			}
		},
	};
}

function redirectOf({ response, url }: Answer, { method }: Outgoing): URL | undefined {
	const location = response.headers.get("location");
	if (!REDIRECTS.has(response.status) || location === null || (method !== "GET" && method !== "HEAD")) return undefined;
	const target = URL.canParse(location, url.href) ? new URL(location, url) : undefined;
	if (target?.protocol === "https:" || target?.protocol === "http:") return target;
	throw new RegistryFailure(`${exchangeName(method, url)}: invalid redirect to ${JSON.stringify(location)}`);
}

/** Once on another origin, a later redirect back does not bring the credentials back either. */
function headersFor(last: Outgoing, target: URL): Record<string, string> {
	const { Authorization, ...others } = last.headers;
	const keep = Authorization !== undefined && target.origin === last.url.origin;
	return keep ? { ...others, Authorization } : others;
}

function timedOut({ method, url }: Outgoing): RegistryFailure {
	return new RegistryFailure(
		`${exchangeName(method, url)}: net/http: request canceled (Client.Timeout exceeded while awaiting headers)`,
		{ transient: true },
	);
}

/** Every chunk that is taken is a sign of life; while the source has none ready, it is not the registry that is waited for. */
function bodyOf(body: Outgoing["body"], watchdog: Watchdog, failure: { failed?: unknown }): Bun.BodyInit | undefined {
	if (body === undefined || typeof body === "string" || body instanceof Uint8Array) return body;
	const source = body[Symbol.asyncIterator]();
	return new ReadableStream<Uint8Array>(
		{
			async pull(controller) {
				watchdog.pause();
				const next = await source.next().catch((error: unknown) => {
					// the exchange fails with it; what the caller gets to see is the source's own error
					failure.failed = error;
					throw error;
				});
				watchdog.touch();
				if (next.done) controller.close();
				else controller.enqueue(next.value);
			},
			async cancel() {
				await source.return?.();
			},
		},
		{ highWaterMark: 0 },
	);
}
