import { Elysia } from "elysia";
import type { Builds } from "../../engine/build/contract.ts";
import type { Containers } from "../../engine/containers/contract.ts";
import type { Events } from "../../engine/events.ts";
import type { Images } from "../../engine/images/contract.ts";
import type { SystemFacts } from "../../engine/system.ts";
import type { Volumes } from "../../engine/volumes/contract.ts";
import { readJson } from "../body.ts";
import type { ContainerList } from "../containers/list.ts";
import { invalid } from "../errors.ts";
import { filtersOf } from "../filters.ts";
import { authOf } from "../images/registry.ts";
import { queryOf, timeOf } from "../query.ts";
import { streamResponse } from "../stream.ts";
import { versionOf } from "../version.ts";
import { diskUsage } from "./disk-usage.ts";
import { matchesEvent } from "./event-filter.ts";
import { eventLine, infoView, versionView } from "./view.ts";

/** What is about the engine as a whole. `/_ping` is answered by the listener. */
export function systemRoutes(of: {
	facts: SystemFacts;
	containers: Containers;
	images: Images;
	volumes: Volumes;
	list: ContainerList;
	events: Events;
	builds?: Builds;
}) {
	return new Elysia()
		.get("/version", () => Response.json(versionView(of.facts)))
		.get("/info", ({ request }) => Response.json(infoView(of.facts, of.containers, of.images, versionOf(request))))
		.get("/events", ({ request }) => eventsReply(of.events, request))
		.post("/auth", ({ request }) => login(of.images, request), { parse: "none" })
		.get("/system/df", async ({ request }) => Response.json(await diskUsage(of, queryOf(request), versionOf(request))));
}

/** `docker login`. What it carries is neither kept nor shown. */
async function login(images: Images, request: Request): Promise<Response> {
	const { status, identityToken } = await images.login(await readJson(request, authOf, "AuthConfig"), request.signal);
	return Response.json({ IdentityToken: identityToken, Status: status });
}

function eventsReply(events: Events, request: Request): Response {
	const query = queryOf(request);
	// docker refuses no filter here, and one that it does not know selects nothing away.
	const filters = filtersOf(query, "any");
	const range = { since: timeOf(query, "since"), until: timeOf(query, "until") };
	if (range.since !== undefined && range.until !== undefined && range.until < range.since) {
		throw invalid(`\`since\` time (${query.get("since")}) cannot be after \`until\` time (${query.get("until")})`);
	}
	const source = events.subscribe(range, request.signal);
	async function* lines() {
		const encoder = new TextEncoder();
		for await (const event of source) if (matchesEvent(event, filters)) yield encoder.encode(eventLine(event));
	}
	return streamResponse(lines(), "application/json");
}
