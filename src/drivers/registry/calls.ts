import { type Challenge, parseChallenges } from "./challenge.ts";
import { exchangeName } from "./connect-error.ts";
import type { Credentials } from "./driver.ts";
import { api, type Endpoint } from "./endpoints.ts";
import { failureOf, RegistryFailure } from "./failure.ts";
import type { Timing } from "./timing.ts";
import { challengesOf, type TokenRequest, type Tokens } from "./tokens.ts";
import type { Answer, Outgoing, Transport } from "./transport.ts";

export interface Call {
	readonly method: string;
	/** What an error names in its stead. */
	readonly shownMethod?: string;
	/** Below `/v2/`, or a whole address of an upload. */
	readonly path: string | URL;
	readonly scopes: readonly string[];
	readonly headers?: Readonly<Record<string, string>>;
	readonly body?: Outgoing["body"];
	readonly slow?: boolean;
	/** Statuses that are no failure. */
	readonly accept: readonly number[];
	readonly credentials?: Credentials;
	readonly signal?: AbortSignal;
}

/** Sends one authenticated request. Throws RegistryFailure for every status that is not accepted. Does not retry but for a stale token. */
export type Send = (endpoint: Endpoint, call: Call) => Promise<Answer>;

export function createSend(transport: Transport, tokens: Tokens, timing: Timing): Send {
	const once = async (endpoint: Endpoint, call: Call): Promise<{ answer: Answer; mayBeStale: boolean }> => {
		const url = typeof call.path === "string" ? api(endpoint, call.path) : call.path;
		const request = tokenRequest(endpoint, call);
		const authorization = await named(call, url, tokens.authorize(endpoint, request));
		const headers: Record<string, string> = { ...call.headers };
		// an upload may be sent to another host: as docker, only the registry itself gets to see the token
		if (authorization && url.origin === endpoint.url.origin) headers.Authorization = authorization.value;
		const { method, body, signal, slow } = call;
		const answer = await transport.send(endpoint, { method, url, headers, body, signal, slow });
		return { answer, mayBeStale: authorization === undefined || authorization.cached };
	};

	return async (endpoint, call) => {
		let { answer, mayBeStale } = await once(endpoint, call);
		const replayable = call.body === undefined || typeof call.body === "string" || call.body instanceof Uint8Array;
		if (answer.response.status === 401 && mayBeStale && replayable && comesFrom(endpoint, answer)) {
			const challenges = challengesOf(answer.response);
			tokens.forget(tokenRequest(endpoint, call));
			if (challenges.length > 0) {
				answer.watchdog.end();
				endpoint.challenges = challenges;
				({ answer } = await once(endpoint, call));
			}
		}
		if (call.accept.includes(answer.response.status)) return answer;
		throw await refusal(answer, timing.now());
	};
}

/** Mirrors of docker.io get no credentials. */
function tokenRequest(endpoint: Endpoint, { scopes, credentials, signal }: Call): TokenRequest {
	return { challenges: endpoint.challenges, scopes, credentials: endpoint.mirror ? undefined : credentials, signal };
}

function comesFrom(endpoint: Endpoint, answer: Answer): boolean {
	return answer.url.origin === endpoint.url.origin;
}

/** Go's client shows failures of its own side, authentication included, behind the name of the exchange. */
async function named<T>(call: Call, url: URL, work: Promise<T>): Promise<T> {
	try {
		return await work;
	} catch (error) {
		if (!(error instanceof RegistryFailure)) throw error;
		throw new RegistryFailure(`${exchangeName(call.shownMethod ?? call.method, url)}: ${error.message}`, {
			...error,
			cause: error,
		});
	}
}

/** Reads the error text and lets go of the answer. A bearer challenge may say more than the body does (RFC 6750, 3.1). */
export async function refusal({ response, watchdog }: Answer, now: number): Promise<RegistryFailure> {
	watchdog.touch();
	const failure = await failureOf(response, now);
	watchdog.end();
	const said = parseChallenges(response.headers.get("www-authenticate") ?? "")
		.map(bearerError)
		.find(Boolean);
	if (response.status !== 401 || said === undefined) return failure;
	if (failure.entries.some((entry) => entry.code === said.code)) return failure;
	const text = `${said.code.toLowerCase()}: ${said.message}`;
	return new RegistryFailure(text, { status: 401, entries: [said] });
}

function bearerError({ scheme, parameters }: Challenge): { code: string; message: string } | undefined {
	const codes: Record<string, [string, string]> = {
		invalid_token: ["UNAUTHORIZED", "authentication required"],
		insufficient_scope: ["DENIED", "requested access to the resource is denied"],
	};
	const [code, message] = codes[parameters.error ?? ""] ?? [];
	if (scheme !== "bearer" || code === undefined || message === undefined) return undefined;
	return { code, message: parameters.error_description ?? message };
}
