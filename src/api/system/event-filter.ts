import type { EngineEvent } from "../../engine/events.ts";
import { type Filters, matchesLabel } from "../filters.ts";

/** Filters by an actor's id or name, or the beginning of either. docker looks at no event's type for them, so neither is done here. */
const ACTORS = ["container", "daemon", "network", "plugin", "volume", "config", "node", "secret", "service"];
/** What these actions are about follows a colon: asked for one of them, docker compares the beginnings of actions. */
const OPEN_ENDED = ["exec_create", "exec_start", "health_status"];

/** Whether an event is shown: docker's rules to the letter. A filter it does not know selects nothing away. */
export function matchesEvent(event: EngineEvent, filters: Filters): boolean {
	const { ID, Attributes } = event.Actor;
	const { name = "" } = Attributes;
	const openEnded = filters.get("event").some((action) => OPEN_ENDED.includes(action));
	return (
		filters.any("type", (type) => event.Type === type) &&
		filters.any("event", (action) => event.Action === action || (openEnded && event.Action.startsWith(action))) &&
		filters.any("scope", (scope) => event.scope === scope) &&
		filters.every("label", (label) => matchesLabel(Attributes, label)) &&
		ACTORS.every((noun) => filters.any(noun, (ref) => ID.startsWith(ref) || name.startsWith(ref))) &&
		filters.any("image", (ref) => imageNames(event).includes(ref))
	);
}

/** Of an image its id and name, of anything else the image it was made from; each with its tag and without. */
function imageNames({ Type, Actor }: EngineEvent): string[] {
	const image = Type === "image" ? Actor.Attributes.name : Actor.Attributes.image;
	const names = image === undefined ? [Actor.ID] : [Actor.ID, image];
	return [...names, ...names.map((name) => name.replace(/(?<=[^/]):[^:/@]*$/, ""))];
}
