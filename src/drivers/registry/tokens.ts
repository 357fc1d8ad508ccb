import { createHash } from "node:crypto";
import { type Challenge, parseChallenges } from "./challenge.ts";
import type { Credentials } from "./driver.ts";
import { failureOf, RegistryFailure, readUpTo } from "./failure.ts";
import { type Timing, withRetries } from "./timing.ts";
import type { Answer, Origin, Transport } from "./transport.ts";

export interface TokenRequest {
	readonly challenges: readonly Challenge[];
	readonly scopes: readonly string[];
	readonly credentials: Credentials | undefined;
	/** Ask for an identity token too (`docker login`). */
	readonly offline?: boolean;
	readonly signal?: AbortSignal;
}

/** The value of an Authorization header. `cached`: it was handed out before, so a 401 may only mean that it is stale. */
export interface Authorization {
	readonly value: string;
	readonly cached: boolean;
	readonly identityToken?: string;
}

export interface Tokens {
	/** How to answer these challenges; undefined when nothing was asked for. Throws RegistryFailure. */
	authorize(origin: Origin, request: TokenRequest): Promise<Authorization | undefined>;
	/** The token was refused: the next authorize() asks for a new one. */
	forget(request: TokenRequest): void;
}

interface Token {
	readonly value: string;
	readonly expires: number;
	readonly identityToken?: string;
}

const TOKEN_LIMIT = 1024 * 1024;
/** Docker's: a token service that names no time, or less, means a minute. */
const SHORTEST_LIFE_MS = 60_000;
/** A token is not used in its last seconds: it must still stand when the request arrives. */
const MARGIN_MS = 10_000;
const CACHE_LIMIT = 1000;
const CLIENT_ID = "docker";

/** Tokens by realm, service, scopes and credentials; requests for one token at the same time share one exchange. */
export function createTokens(transport: Transport, timing: Timing): Tokens {
	const cache = new Map<string, Token>();
	const pending = new Map<string, Promise<Token>>();

	const tokenOf = async (origin: Origin, bearer: Challenge, request: TokenRequest): Promise<Authorization> => {
		const key = cacheKey(bearer, request);
		const cached = cache.get(key);
		if (cached && cached.expires > timing.now()) return { value: `Bearer ${cached.value}`, cached: true };
		// a shared exchange must not end because the one that began it gives up, so it has no signal
		const fetching =
			pending.get(key) ?? fetchToken(transport, timing, origin, bearer, { ...request, signal: undefined });
		pending.set(key, fetching);
		try {
			const token = await abandonable(fetching, request.signal);
			remember(cache, key, token, timing.now());
			return { value: `Bearer ${token.value}`, cached: false, identityToken: token.identityToken };
		} finally {
			if (pending.get(key) === fetching) pending.delete(key);
		}
	};

	return {
		async authorize(origin, request) {
			const { credentials, challenges } = request;
			if (credentials?.registryToken) return { value: `Bearer ${credentials.registryToken}`, cached: false };
			const bearer = challenges.find((one) => one.scheme === "bearer" && one.parameters.realm);
			if (bearer) return await tokenOf(origin, bearer, request);
			if (!challenges.some((one) => one.scheme === "basic")) return undefined;
			if (credentials?.username && credentials.password) return { value: basic(credentials), cached: false };
			throw new RegistryFailure("no basic auth credentials");
		},
		forget(request) {
			for (const bearer of request.challenges) cache.delete(cacheKey(bearer, request));
		},
	};
}

/** The challenges of a 401. */
export function challengesOf(response: Response): Challenge[] {
	return response.status === 401 ? parseChallenges(response.headers.get("www-authenticate") ?? "") : [];
}

function basic(credentials: Credentials): string {
	return `Basic ${Buffer.from(`${credentials.username}:${credentials.password}`).toString("base64")}`;
}

function cacheKey(bearer: Challenge, { scopes, credentials, offline }: TokenRequest): string {
	const { realm, service } = bearer.parameters;
	const text = JSON.stringify([realm, service, [...scopes].sort(), credentials ?? null, offline ?? false]);
	return createHash("sha256").update(text).digest("hex");
}

function remember(cache: Map<string, Token>, key: string, token: Token, now: number): void {
	for (const [old, { expires }] of cache) if (expires <= now || cache.size >= CACHE_LIMIT) cache.delete(old);
	cache.set(key, token);
}

async function fetchToken(
	transport: Transport,
	timing: Timing,
	origin: Origin,
	bearer: Challenge,
	request: TokenRequest,
): Promise<Token> {
	const realm = realmOf(transport, origin, bearer, request.credentials);
	const identityToken = request.credentials?.identityToken;
	return await withRetries(timing, request.signal, async () => {
		const answer = identityToken
			? await postRefresh(transport, origin, realm, bearer, request, identityToken)
			: await getToken(transport, origin, realm, bearer, request);
		return await tokenIn(answer, timing.now());
	});
}

/** Credentials go where the registry says, as with docker; but not in the clear when the registry itself was verified. */
function realmOf(transport: Transport, origin: Origin, bearer: Challenge, credentials: Credentials | undefined): URL {
	const text = bearer.parameters.realm ?? "";
	const realm = URL.canParse(text) ? new URL(text) : undefined;
	if (realm?.protocol !== "https:" && realm?.protocol !== "http:") {
		throw new RegistryFailure(
			`invalid token service ${JSON.stringify(text)} of ${origin.url.host}: allowed is http(s)://`,
		);
	}
	const inClear = realm.protocol === "http:" && origin.tls.rejectUnauthorized && origin.url.protocol === "https:";
	if (inClear && credentials !== undefined && !transport.insecure.isInsecure(realm.host)) {
		throw new RegistryFailure(
			`cannot send credentials to ${realm.origin}: ${origin.url.host} has TLS, its token service has not`,
		);
	}
	return realm;
}

/** Source: distribution's token specification, "Requesting a Token". */
async function getToken(
	transport: Transport,
	origin: Origin,
	realm: URL,
	bearer: Challenge,
	{ scopes, credentials, offline, signal }: TokenRequest,
): Promise<Answer> {
	const url = new URL(realm);
	if (bearer.parameters.service) url.searchParams.append("service", bearer.parameters.service);
	for (const scope of scopes) url.searchParams.append("scope", scope);
	if (offline) {
		url.searchParams.append("offline_token", "true");
		url.searchParams.append("client_id", CLIENT_ID);
	}
	const named = credentials?.username && credentials.password ? credentials : undefined;
	if (named) url.searchParams.append("account", named.username ?? "");
	const headers: Record<string, string> = named ? { Authorization: basic(named) } : {};
	return await transport.send(origin, { method: "GET", url, headers, signal });
}

/** Source: distribution's OAuth2 specification, grant type refresh_token. */
async function postRefresh(
	transport: Transport,
	origin: Origin,
	realm: URL,
	bearer: Challenge,
	{ scopes, signal }: TokenRequest,
	identityToken: string,
): Promise<Answer> {
	const form = new URLSearchParams({
		grant_type: "refresh_token",
		refresh_token: identityToken,
		service: bearer.parameters.service ?? "",
		client_id: CLIENT_ID,
		scope: scopes.join(" "),
	});
	const headers = { "Content-Type": "application/x-www-form-urlencoded" };
	return await transport.send(origin, { method: "POST", url: realm, headers, body: form.toString(), signal });
}

async function tokenIn({ response, watchdog }: Answer, now: number): Promise<Token> {
	if (response.status !== 200) throw await failureOf(response, now);
	watchdog.touch();
	const body = new TextDecoder().decode(await readUpTo(response, TOKEN_LIMIT));
	watchdog.stop();
	const fields = fieldsOf(body);
	const value = fields.token ?? fields.access_token;
	if (typeof value !== "string" || value === "") {
		throw new RegistryFailure("authorization server did not include a token in the response");
	}
	const life = Math.max(SHORTEST_LIFE_MS, Number(fields.expires_in ?? 0) * 1000 || 0);
	const identityToken = typeof fields.refresh_token === "string" ? fields.refresh_token : undefined;
	return { value, expires: now + life - MARGIN_MS, identityToken };
}

function fieldsOf(body: string): Record<string, unknown> {
	try {
		const value: unknown = JSON.parse(body);
		return typeof value === "object" && value !== null ? (value as Record<string, unknown>) : {};
	} catch (cause) {
		throw new RegistryFailure("unable to decode token response: not JSON", { cause });
	}
}

function abandonable<T>(work: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
	if (!signal) return work;
	return new Promise((resolve, reject) => {
		const stop = () => reject(signal.reason);
		if (signal.aborted) stop();
		signal.addEventListener("abort", stop, { once: true });
		work.then(resolve, reject).finally(() => signal.removeEventListener("abort", stop));
	});
}
