import { EngineError } from "../../shared/errors.ts";
import { refusal } from "./calls.ts";
import type { RegistryOptions } from "./driver.ts";
import type { Endpoints } from "./endpoints.ts";
import { RegistryFailure, readUpTo, statusText } from "./failure.ts";
import { type Timing, withRetries } from "./timing.ts";
import type { Answer, Transport } from "./transport.ts";

export interface Found {
	readonly name: string;
	readonly description: string;
	readonly starCount: number;
	readonly isOfficial: boolean;
	readonly isAutomated: boolean;
}

const RESULT_LIMIT = 4 * 1024 * 1024;
/** docker.io keeps its search beside its registry. */
const HUB_INDEX = "https://index.docker.io";

/** Splits `host/term` as docker does and asks the host's v1 search. "not-found" where it has none; else RegistryFailure. */
export async function search(
	parts: { endpoints: Endpoints; transport: Transport; timing: Timing },
	term: string,
	limit: number,
	{ credentials, signal }: RegistryOptions,
): Promise<Found[]> {
	const { domain, rest } = splitTerm(term);
	const headers: Record<string, string> = { Accept: "application/json" };
	if (credentials?.username && credentials.password) {
		const pair = `${credentials.username}:${credentials.password}`;
		headers.Authorization = `Basic ${Buffer.from(pair).toString("base64")}`;
	}
	return await parts.endpoints.onEach(domain, "push", signal, async (endpoint) => {
		const url = new URL("/v1/search", domain === "docker.io" ? HUB_INDEX : endpoint.url);
		url.searchParams.set("q", rest);
		url.searchParams.set("n", `${limit}`);
		const origin = { ...endpoint, url: new URL(url.origin) };
		return await withRetries(parts.timing, signal, async () =>
			resultsOf(await parts.transport.send(origin, { method: "GET", url, headers, signal }), url, parts.timing.now()),
		);
	});
}

async function resultsOf(answer: Answer, url: URL, now: number): Promise<Found[]> {
	const { response, watchdog } = answer;
	const isJson = response.headers.get("content-type")?.includes("json") ?? false;
	const missing = response.status === 404 || response.status === 405 || (response.status === 200 && !isJson);
	if (missing) {
		watchdog.end();
		const said = response.status === 200 ? "no search result" : statusText(response.status);
		throw new EngineError("not-found", `registry ${url.host} cannot be searched: ${url.pathname} answered ${said}`);
	}
	if (response.status !== 200) throw await refusal(answer, now);
	watchdog.touch();
	const text = new TextDecoder().decode(await readUpTo(response, RESULT_LIMIT));
	watchdog.end();
	return parseResults(text, url);
}

function parseResults(text: string, url: URL): Found[] {
	let value: unknown;
	try {
		value = JSON.parse(text);
	} catch (cause) {
		throw new RegistryFailure(`invalid search result of ${url.host}: not JSON`, { cause });
	}
	const results = typeof value === "object" && value !== null ? (value as { results?: unknown }).results : undefined;
	return (Array.isArray(results) ? results : []).map(parseResult).filter((one) => one.name !== "");
}

function parseResult(value: unknown): Found {
	const fields = typeof value === "object" && value !== null ? (value as Record<string, unknown>) : {};
	return {
		name: typeof fields.name === "string" ? fields.name : "",
		description: typeof fields.description === "string" ? fields.description : "",
		starCount: typeof fields.star_count === "number" ? fields.star_count : 0,
		isOfficial: fields.is_official === true,
		isAutomated: fields.is_automated === true,
	};
}

/** Source: moby, registry/search.go: a first part without dot and colon is no host, `library/` is docker.io's own. */
function splitTerm(term: string): { domain: string; rest: string } {
	if (term.includes("://")) {
		throw new EngineError("invalid", `invalid repository name: repository name (${term}) should not have a scheme`);
	}
	const slash = term.indexOf("/");
	const first = slash < 0 ? "" : term.slice(0, slash);
	if (!/[.:]/.test(first) && first !== "localhost")
		return { domain: "docker.io", rest: term.replace(/^library\//, "") };
	if (first === "docker.io" || first === "index.docker.io") {
		return { domain: "docker.io", rest: term.slice(slash + 1).replace(/^library\//, "") };
	}
	return { domain: first, rest: term.slice(slash + 1) };
}
