import type { Reference } from "../../oci/reference.ts";
import type { Send } from "./calls.ts";
import type { RegistryOptions } from "./driver.ts";
import { api, type Endpoint } from "./endpoints.ts";
import { RegistryFailure, readUpTo } from "./failure.ts";
import { pullScope } from "./scopes.ts";
import type { Answer } from "./transport.ts";

const PAGE_LIMIT = 4 * 1024 * 1024;
/** Against a registry whose pages never end. */
const PAGES_LIMIT = 1000;

/** All tags, page by page. Throws RegistryFailure. */
export async function listTags(
	send: Send,
	endpoint: Endpoint,
	repository: Reference,
	{ credentials, signal }: RegistryOptions,
): Promise<string[]> {
	const tags: string[] = [];
	let path: URL | undefined = api(endpoint, `${repository.path}/tags/list`);
	for (let page = 0; path !== undefined; page++) {
		if (page === PAGES_LIMIT) throw new RegistryFailure(`tags of ${repository.path} go on after ${PAGES_LIMIT} pages`);
		const call = { method: "GET", path, scopes: [pullScope(repository)], accept: [200], credentials, signal };
		const answer = await send(endpoint, call);
		tags.push(...(await tagsIn(answer, repository)));
		path = nextPage(answer, endpoint);
	}
	return tags;
}

async function tagsIn({ response, watchdog }: Answer, repository: Reference): Promise<string[]> {
	watchdog.touch();
	const text = new TextDecoder().decode(await readUpTo(response, PAGE_LIMIT));
	watchdog.end();
	try {
		const { tags } = JSON.parse(text) as { tags?: unknown };
		return Array.isArray(tags) ? tags.filter((tag) => typeof tag === "string") : [];
	} catch (cause) {
		throw new RegistryFailure(`invalid list of tags of ${repository.path}: not JSON`, { cause });
	}
}

/** `Link: </v2/app/tags/list?last=b&n=100>; rel="next"` (RFC 8288); other hosts are not followed. */
function nextPage({ response, url }: Answer, endpoint: Endpoint): URL | undefined {
	const target = /<([^>]*)>\s*;[^,]*rel="?next"?/i.exec(response.headers.get("link") ?? "")?.[1];
	if (target === undefined || !URL.canParse(target, url.href)) return undefined;
	const next = new URL(target, url);
	return next.origin === endpoint.url.origin ? next : undefined;
}
