import type { ImageRecord, Images } from "../../engine/images/contract.ts";
import { invalid } from "../errors.ts";
import { boolFilter, type Filters, filtersOf, matchesLabel } from "../filters.ts";
import { boolOf, queryOf } from "../query.ts";
import { versionOf } from "../version.ts";
import type { ImageSummary } from "./schema.ts";
import { asOf, imageSummary, manifestSummaries } from "./view.ts";

const LIST_FILTERS = ["dangling", "reference", "label", "before", "since", "until"];
/** Minor API version from which lists tell how many containers are made of an image. */
const COUNTED_SINCE = 51;
const PRUNE_FILTERS = ["dangling", "label", "label!", "until"];

/**
 * `GET /images/json`. Without `all` the steps that images were built by are left out; `digests` changes nothing, they are always there. With a
 * `reference` filter a row names only what matches, as docker's.
 */
export function listReply(images: Images, request: Request): Response {
	const query = queryOf(request);
	const filters = filtersOf(query, LIST_FILTERS);
	filters.every("reference", checkPattern);
	const shared = boolOf(query, "shared-size") ? images.usage().sharedSizes : undefined;
	const withManifests = boolOf(query, "manifests");
	const all = boolOf(query, "all");
	const isIntermediate = intermediates(images.list());
	const rows: ImageSummary[] = images
		.list()
		.filter((image) => (all || !isIntermediate(image)) && holds(image, filters, images))
		.sort((a, b) => Date.parse(b.created) - Date.parse(a.created) || (a.id < b.id ? -1 : 1))
		.map((image) => ({
			...imageSummary(image, shared?.get(image.id) ?? -1, images.userCount(image.id)),
			RepoTags: image.tags.filter((name) => named(name, filters)),
			RepoDigests: image.digests.filter((name) => named(name, filters)),
			...(withManifests && manifestSummaries(images, image)),
		}));
	const minor = versionOf(request);
	return Response.json(rows.map((row) => asOf(minor, minor < COUNTED_SINCE ? { ...row, Containers: -1 } : row)));
}

/** Whether an image is a step of a build only: without a name, and others were made from it. */
function intermediates(images: readonly ImageRecord[]): (image: ImageRecord) => boolean {
	const parents = new Set(images.map(({ parent }) => parent));
	return (image) => image.tags.length === 0 && image.digests.length === 0 && parents.has(image.id);
}

/** `POST /images/prune`. */
export async function pruneReply(images: Images, request: Request): Promise<Response> {
	const filters = filtersOf(queryOf(request), PRUNE_FILTERS);
	for (const time of filters.get("until")) untilOf(time);
	const { deleted, reclaimed } = await images.prune({
		danglingOnly: boolFilter(filters, "dangling") ?? true,
		accepts: (image) => isOld(image, filters) && hasLabels(image, filters),
	});
	return Response.json({ ImagesDeleted: deleted.length > 0 ? deleted : null, SpaceReclaimed: reclaimed });
}

function holds(image: ImageRecord, filters: Filters, images: Images): boolean {
	const created = Date.parse(image.created);
	const dangling = boolFilter(filters, "dangling");
	return (
		(dangling === undefined || dangling === (image.tags.length === 0)) &&
		(!filters.has("reference") || [...image.tags, ...image.digests].some((name) => named(name, filters))) &&
		hasLabels(image, filters) &&
		filters.every("before", (ref) => created < Date.parse(images.resolve(ref).created)) &&
		filters.every("since", (ref) => created > Date.parse(images.resolve(ref).created)) &&
		isOld(image, filters)
	);
}

function hasLabels(image: ImageRecord, filters: Filters): boolean {
	const labels = image.config.config?.Labels ?? {};
	return (
		filters.every("label", (wanted) => matchesLabel(labels, wanted)) &&
		!filters.get("label!").some((wanted) => matchesLabel(labels, wanted))
	);
}

function isOld(image: ImageRecord, filters: Filters): boolean {
	return filters.every("until", (time) => Date.parse(image.created) < untilOf(time));
}

function named(name: string, filters: Filters): boolean {
	return filters.any("reference", (pattern) => matchesReference(name, pattern));
}

/** Go's path.Match refuses a class or an escape that does not end. */
function checkPattern(pattern: string): true {
	if (/^(?:[^[\\]|\\.|\[\^?(?:[^\]\\]|\\.)+\])*$/s.test(pattern)) return true;
	throw invalid("syntax error in pattern");
}

/** Docker's patterns: `*` and `?` do not cross a slash; without a tag any tag matches. */
function matchesReference(name: string, pattern: string): boolean {
	const repository = name.replace(/@.*$|:[^:/]*$/, "");
	return new Bun.Glob(pattern).match(name) || new Bun.Glob(pattern).match(repository);
}

const UNIT_MS: Record<string, number> = { s: 1000, m: 60_000, h: 3_600_000 };

/** A moment in ms: a Go duration before now, seconds since the epoch, or a date. */
function untilOf(text: string): number {
	if (/^(\d+[smh])+$/.test(text)) {
		const parts = [...text.matchAll(/(\d+)([smh])/g)];
		return Date.now() - parts.reduce((sum, [, n, unit]) => sum + Number(n) * (UNIT_MS[unit ?? ""] ?? 0), 0);
	}
	const time = /^\d+(\.\d+)?$/.test(text) ? Number(text) * 1000 : Date.parse(text);
	if (Number.isNaN(time)) throw invalid(`failed to parse value as time or duration: ${JSON.stringify(text)}`);
	return time;
}
