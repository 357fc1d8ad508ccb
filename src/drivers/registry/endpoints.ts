import { EngineError } from "../../shared/errors.ts";
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

interface Candidate {
	readonly url: URL;
	/** Its directory in certs.d. */
	readonly name: string;
	readonly mirror: boolean;
	readonly secure: boolean;
}

const DOCKER_HUB = "https://registry-1.docker.io";
/** How long an endpoint is taken to be as it was found. */
const LIFE_MS = 5 * 60_000;
/** How long a mirror that failed is passed over. */
const MIRROR_REST_MS = 30_000;

/** Finds out how a registry is reached: HTTPS, then for insecure ones plain HTTP, as dockerd does. Throws "invalid" for a bad mirror. */
export function createEndpoints(transport: Transport, mirrors: readonly string[], timing: Timing): Endpoints {
	const mirrorUrls = mirrors.map(parseMirror);
	const found = new Map<string, { endpoint: Endpoint; expires: number }>();
	const resting = new Map<string, number>();

	const candidatesOf = async (domain: string, purpose: Purpose): Promise<Candidate[]> => {
		if (domain !== "docker.io") return await direct(domain);
		const hub = { url: new URL(DOCKER_HUB), name: domain, mirror: false, secure: true };
		if (purpose === "push") return [hub];
		const awake = mirrorUrls.filter((url) => (resting.get(url.origin) ?? 0) <= timing.now());
		return [...awake.map((url) => mirrorOf(url, transport)), hub];
	};

	const direct = async (domain: string): Promise<Candidate[]> => {
		const insecure = await transport.insecure.resolvesInsecure(domain);
		const https = { url: new URL(`https://${domain}`), name: domain, mirror: false, secure: !insecure };
		if (!insecure) return [https];
		const http = { ...https, url: new URL(`http://${domain}`) };
		return found.has(http.url.origin) ? [http, https] : [https, http];
	};

	const reach = async (candidate: Candidate, signal?: AbortSignal): Promise<Endpoint> => {
		const key = candidate.url.origin;
		const known = found.get(key);
		if (known && known.expires > timing.now()) return known.endpoint;
		found.delete(key);
		const tls = await transport.tlsOf(candidate.name, candidate.secure);
		const origin = { url: candidate.url, tls };
		const { response, watchdog } = await transport.send(origin, {
			method: "GET",
			url: api(origin, ""),
			headers: {},
			signal,
		});
		watchdog.end();
		const forget = () => {
			found.delete(key);
			if (candidate.mirror) resting.set(key, timing.now() + MIRROR_REST_MS);
		};
		const endpoint = { ...origin, mirror: candidate.mirror, challenges: challengesOf(response), forget };
		found.set(key, { endpoint, expires: timing.now() + LIFE_MS });
		return endpoint;
	};

	return {
		async onEach(domain, purpose, signal, work) {
			let last: unknown;
			for (const candidate of await candidatesOf(domain, purpose)) {
				let endpoint: Endpoint | undefined;
				try {
					endpoint = await reach(candidate, signal);
					return await work(endpoint);
				} catch (error) {
					signal?.throwIfAborted();
					last = error;
					const failure = error instanceof RegistryFailure ? error : undefined;
					const down = failure !== undefined && (failure.transient || failure.status === undefined);
					if (down && candidate.mirror) resting.set(candidate.url.origin, timing.now() + MIRROR_REST_MS);
					if (down) endpoint?.forget();
					if (!candidate.mirror && (endpoint !== undefined || !failure)) throw error;
				}
			}
			throw last;
		},
	};
}

/** An address below the registry's `/v2/`. */
export function api(origin: Origin, path: string): URL {
	return new URL(`/v2/${path}`, origin.url);
}

function mirrorOf(url: URL, transport: Transport): Candidate {
	return { url, name: url.host, mirror: true, secure: !transport.insecure.isInsecure(url.host) };
}

function parseMirror(text: string): URL {
	const url = URL.canParse(text) ? new URL(text) : undefined;
	const plain =
		url && url.pathname === "/" && url.search === "" && url.hash === "" && url.username === "" && url.password === "";
	if (plain && (url.protocol === "https:" || url.protocol === "http:")) return url;
	throw new EngineError("invalid", `invalid registry mirror ${JSON.stringify(text)}: allowed is http(s)://HOST[:PORT]`);
}
