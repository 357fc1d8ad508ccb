import { repositoryOf } from "../../oci/reference.ts";
import { EngineError } from "../../shared/errors.ts";
import { shortId } from "../../shared/id.ts";
import { references, storedName } from "./catalog.ts";
import { type Context, publish } from "./context.ts";
import type { ImageRecord, Removed } from "./contract.ts";

/** Contract: Images.remove. */
export async function removeImage(
	context: Context,
	ref: string,
	options: { force: boolean; noPrune: boolean },
): Promise<Removed[]> {
	const removed = await removeNamed(context, ref, options);
	context.layers.releaseBlobs();
	return removed;
}

async function removeNamed(
	context: Context,
	ref: string,
	options: { force: boolean; noPrune: boolean },
): Promise<Removed[]> {
	const image = context.catalog.resolve(ref);
	const byId = isIdPrefix(ref, image.id);
	const removed = byId ? untagById(context, image, options.force) : untagByName(context, image, ref, options.force);
	const left = context.catalog.get(image.id);
	if (!left) return removed;
	if (!byId && references(left).length > 0) return removed;
	const conflict = deleteConflict(context, left, options.force, true);
	if (conflict) {
		// By name the tag is gone, which is what was asked for.
		if (!byId) return removed;
		throw conflict;
	}
	return [...removed, ...(await deleteWithParents(context, left, !options.noPrune))];
}

/** Deletes the image and, as far as nothing else needs them, the steps of the build that made it. */
export async function deleteWithParents(context: Context, image: ImageRecord, parents = true): Promise<Removed[]> {
	const removed = await deleteImage(context, image);
	const parent = parents && image.parent !== undefined ? context.catalog.get(image.parent) : undefined;
	if (!parent || references(parent).length > 0 || context.users(parent.id).length > 0) return removed;
	if (hasChildren(context, parent.id)) return removed;
	return [...removed, ...(await deleteWithParents(context, parent))];
}

/** Whether images were built from it. */
export function hasChildren(context: Context, id: string): boolean {
	return context.catalog.list().some(({ parent }) => parent === id);
}

/** Deletes the image with all of its names and the layers that nothing else needs. Asks nobody. */
export async function deleteImage(context: Context, image: ImageRecord): Promise<Removed[]> {
	const removed = references(image).map((name) => untag(context, name, image.id));
	context.store.remove(image.id);
	context.catalog.refresh();
	publish(context, "delete", image.id, { name: image.id });
	const gone = await context.layers.release(image.chain);
	return [...removed, { Deleted: image.id }, ...gone.map((chainId) => ({ Deleted: chainId }))];
}

/** An id names all: that works when all tags are of one repository, or by force. */
function untagById(context: Context, image: ImageRecord, force: boolean): Removed[] {
	const single = isSingleReference(references(image));
	const conflict = deleteConflict(context, image, force, !single);
	if (conflict) throw conflict;
	return references(image).map((name) => untag(context, name, image.id));
}

function untagByName(context: Context, image: ImageRecord, ref: string, force: boolean): Removed[] {
	const name = storedName(ref);
	const user = context.users(image.id)[0];
	if (!force && user && isSingleReference(references(image))) {
		throw new EngineError(
			"conflict",
			`conflict: unable to remove repository reference "${ref}" (must force) - container ${shortId(user.id)} is using its referenced image ${shortId(image.id)}`,
		);
	}
	const removed = [untag(context, name, image.id)];
	const repository = repositoryOf(name);
	const left = references(context.catalog.get(image.id) ?? image);
	const ofRepository = left.filter((one) => repositoryOf(one) === repository);
	const onlyDigests = ofRepository.every((one) => one.includes("@"));
	return onlyDigests ? [...removed, ...ofRepository.map((one) => untag(context, one, image.id))] : removed;
}

function deleteConflict(
	context: Context,
	image: ImageRecord,
	force: boolean,
	checkReferences: boolean,
): EngineError | undefined {
	const users = context.users(image.id);
	const running = users.find((user) => user.running);
	const fail = (how: string, why: string) =>
		new EngineError("conflict", `conflict: unable to delete ${shortId(image.id)} (${how}) - ${why}`);
	if (hasChildren(context, image.id)) return fail("cannot be forced", "image has dependent child images");
	if (running) return fail("cannot be forced", `image is being used by running container ${shortId(running.id)}`);
	if (force) return undefined;
	if (checkReferences && references(image).length > 0)
		return fail("must be forced", "image is referenced in multiple repositories");
	const stopped = users[0];
	return stopped && fail("must be forced", `image is being used by stopped container ${shortId(stopped.id)}`);
}

function untag(context: Context, name: string, imageId: string): Removed {
	context.store.untag(name);
	context.catalog.refresh();
	publish(context, "untag", imageId, { name: imageId });
	return { Untagged: name };
}

/** At most one tag, and all within one repository. */
function isSingleReference(names: readonly string[]): boolean {
	const tags = names.filter((name) => !name.includes("@"));
	return tags.length <= 1 && new Set(names.map(repositoryOf)).size <= 1;
}

function isIdPrefix(ref: string, id: string): boolean {
	return id.startsWith(ref) || id.startsWith(`sha256:${ref}`);
}
