import { type Candidate, directCandidates, hubCandidates, parseMirror } from "./candidates.ts";
import type { Challenge } from "./challenge.ts";
import { RegistryFailure } from "./failure.ts";
import type { Timing } from "./timing.ts";
import { challengesOf } from "./tokens.ts";
import type { Origin, Transport } from "./transport.ts";

/** A base address that answered `GET /v2/`. */
export interface Endpoint extends Origin {
	/** Tried before docker.io itself: no credentials go there, and any failure moves on to the next. */
	readonly mirror: boolean;
	/** How it wants to be authenticated to; a later 401 may change it. */
	challenges: readonly Challenge[];
	/** The connection broke: find out anew what answers there. */
	forget(): void;
}

export type Purpose = "pull" | "push";

export interface Endpoints {
	/** Runs `work` on the registry's endpoint; for pulls from docker.io on its mirrors first, until one succeeds. */
	onEach<T>(
		domain: string,
		purpose: Purpose,
		signal: AbortSignal | undefined,
		work: (endpoint: Endpoint) => Promise<T>,
	): Promise<T>;
}

/** How long an endpoint is taken to be as it was found. */
const LIFE_MS = 5 * 60_000;
/** How long a mirror that failed is passed over. */
const MIRROR_REST_MS = 30_000;

/** Finds out how a registry is reached and remembers it for a while, as well as mirrors that are down. Throws "invalid" for a bad mirror. */
export function createEndpoints(transport: Transport, mirrors: readonly string[], timing: Timing): Endpoints {
	const mirrorUrls = mirrors.map(parseMirror);
	const found = new Map<string, { endpoint: Endpoint; expires: number }>();
	const resting = new Map<string, number>();

	const knownAt = (candidate: Candidate): Endpoint | undefined => {
		const entry = found.get(keyOf(candidate));
		return entry && entry.expires > timing.now() ? entry.endpoint : undefined;
	};
	const candidatesOf = async (domain: string, purpose: Purpose): Promise<Candidate[]> => {
		if (domain !== "docker.io") {
			const all = await directCandidates(domain, transport.insecure);
			const known = all.find(knownAt);
			return known ? [known, ...all.filter((one) => one !== known)] : all;
		}
		const awake = mirrorUrls.filter((url) => (resting.get(url.origin) ?? 0) <= timing.now());
		return hubCandidates(purpose === "pull" ? awake : [], transport.insecure);
	};
	const forget = (candidate: Candidate) => {
		found.delete(keyOf(candidate));
		if (candidate.mirror) resting.set(candidate.url.origin, timing.now() + MIRROR_REST_MS);
	};
	const reach = async (candidate: Candidate, signal?: AbortSignal): Promise<Endpoint> => {
		const known = knownAt(candidate);
		if (known) return known;
		const endpoint = await ping(transport, candidate, () => forget(candidate), signal);
		found.set(keyOf(candidate), { endpoint, expires: timing.now() + LIFE_MS });
		return endpoint;
	};

	return {
		async onEach(domain, purpose, signal, work) {
			let last: unknown;
			for (const candidate of await candidatesOf(domain, purpose)) {
				let reached = false;
				try {
					const endpoint = await reach(candidate, signal);
					reached = true;
					return await work(endpoint);
				} catch (error) {
					signal?.throwIfAborted();
					if (isDown(error)) forget(candidate);
					if (!candidate.mirror && (reached || !(error instanceof RegistryFailure))) throw error;
					last = error;
				}
			}
			throw last;
		},
	};
}

/** Mirrors are kept apart: the same address may be a registry of its own, which gets credentials. */
function keyOf({ url, mirror }: Candidate): string {
	return `${mirror ? "mirror " : ""}${url.origin}`;
}

function isDown(error: unknown): boolean {
	return error instanceof RegistryFailure && (error.transient || error.status === undefined);
}

/** `GET /v2/`: any answer will do, a 401 says how to authenticate. Throws RegistryFailure. */
async function ping(
	transport: Transport,
	candidate: Candidate,
	forget: () => void,
	signal: AbortSignal | undefined,
): Promise<Endpoint> {
	const origin = { url: candidate.url, tls: await transport.tlsOf(candidate.name, candidate.secure) };
	const { response, watchdog } = await transport.send(origin, {
		method: "GET",
		url: api(origin, ""),
		headers: {},
		signal,
	});
	watchdog.end();
	return { ...origin, mirror: candidate.mirror, challenges: challengesOf(response), forget };
}

/** An address below the registry's `/v2/`. */
export function api(origin: Origin, path: string): URL {
	return new URL(`/v2/${path}`, origin.url);
}
