import { Elysia } from "elysia";
import type { Containers } from "../../engine/containers/contract.ts";
import type { EngineEvent, Events } from "../../engine/events.ts";
import type { Images } from "../../engine/images/contract.ts";
import type { SystemFacts } from "../../engine/system.ts";
import type { Volumes } from "../../engine/volumes/contract.ts";
import { readJson } from "../body.ts";
import type { ContainerList } from "../containers/list.ts";
import { invalid } from "../errors.ts";
import { type Filters, filtersOf, matchesLabel } from "../filters.ts";
import { authOf } from "../images/registry.ts";
import { queryOf, timeOf } from "../query.ts";
import { streamResponse } from "../stream.ts";
import { versionOf } from "../version.ts";
import { diskUsage } from "./disk-usage.ts";
import { eventLine, infoView, versionView } from "./view.ts";

/** What is about the engine as a whole. `/_ping` is answered by the listener. */
export function systemRoutes(of: {
	facts: SystemFacts;
	containers: Containers;
	images: Images;
	volumes: Volumes;
	list: ContainerList;
	events: Events;
}) {
	return new Elysia()
		.get("/version", () => Response.json(versionView(of.facts)))
		.get("/info", ({ request }) => Response.json(infoView(of.facts, of.containers, of.images, versionOf(request))))
		.get("/events", ({ request }) => eventsReply(of.events, request))
		.post("/auth", ({ request }) => login(of.images, request), { parse: "none" })
		.get("/system/df", async ({ request }) =>
			Response.json(await diskUsage(of.images, of.volumes, of.list, queryOf(request))),
		);
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
		for await (const event of source) if (matches(event, filters)) yield encoder.encode(eventLine(event));
	}
	return streamResponse(lines(), "application/json");
}

function matches(event: EngineEvent, filters: Filters): boolean {
	const { ID, Attributes } = event.Actor;
	const isActor = (type: string) => (ref: string) =>
		event.Type === type && (ID === ref || (ref.length >= 4 && ID.startsWith(ref)) || Attributes.name === ref);
	const isImage = (ref: string) =>
		isActor("image")(ref) ||
		(event.Type === "container" && (Attributes.image === ref || Attributes.image?.split(":")[0] === ref));
	return (
		filters.any("type", (type) => event.Type === type) &&
		// `exec_start: sh` is found as exec_start
		filters.any("event", (action) => event.Action === action || event.Action.startsWith(`${action}:`)) &&
		filters.any("scope", (scope) => event.scope === scope) &&
		filters.every("label", (label) => matchesLabel(Attributes, label)) &&
		filters.any("container", isActor("container")) &&
		filters.any("image", isImage) &&
		filters.any("network", isActor("network")) &&
		filters.any("volume", isActor("volume")) &&
		filters.any("daemon", isActor("daemon")) &&
		["config", "node", "plugin", "secret", "service"].every((name) => !filters.has(name))
	);
}
