import { parseReference } from "../../oci/reference.ts";
import { EngineError, messageOf } from "../../shared/errors.ts";
import type { LayerBlob } from "../../store/distribution.ts";
import { checkKept } from "./check-kept.ts";
import type { Context } from "./context.ts";
import type { LayerCheck } from "./contract.ts";
import { credentialsFor, type RegistryCredentials } from "./credentials.ts";

export interface CheckOptions {
	readonly repair: boolean;
	readonly credentials?: RegistryCredentials;
	readonly signal?: AbortSignal;
}

/** Contract: Images.check. One layer after the other: a check must not be felt. */
export async function* checkLayers(context: Context, options: CheckOptions): AsyncIterable<LayerCheck> {
	for (const [chainId, { diffId, images }] of layersOf(context)) {
		if (options.signal?.aborted) return;
		await using _hold = context.layers.hold([chainId]);
		// Its last image may have gone while others were read.
		if (!context.snapshotter.has(chainId) && !stillNeeded(context, chainId)) continue;
		const damage = await damageOf(context, chainId);
		if (damage === undefined) yield { chainId, diffId, images, status: "ok" };
		else if (!options.repair) yield { chainId, diffId, images, status: "damaged", detail: damage };
		else yield { chainId, diffId, images, ...(await repair(context, { chainId, diffId }, damage, options)) };
	}
	yield* checkKept(context, options);
}

/** Every layer that images need, with what to call them. */
function layersOf(context: Context): Map<string, { diffId: string; images: string[] }> {
	const layers = new Map<string, { diffId: string; images: string[] }>();
	for (const image of context.catalog.list()) {
		for (const [i, chainId] of image.chain.entries()) {
			const layer = layers.get(chainId) ?? { diffId: image.config.rootfs.diff_ids[i] ?? "", images: [] };
			layer.images.push(image.tags[0] ?? image.digests[0] ?? image.id);
			layers.set(chainId, layer);
		}
	}
	return layers;
}

function stillNeeded(context: Context, chainId: string): boolean {
	return context.catalog.list().some((image) => image.chain.includes(chainId));
}

async function damageOf(context: Context, chainId: string): Promise<string | undefined> {
	try {
		if (!context.snapshotter.has(chainId)) return "the layer is missing";
		await context.snapshotter.verify(chainId);
		return undefined;
	} catch (error) {
		return messageOf(error);
	}
}

/** Fetches the layer again from where it is known to lie, and puts it in the place of the damaged one. */
async function repair(
	context: Context,
	layer: { readonly chainId: string; readonly diffId: string },
	damage: string,
	options: CheckOptions,
): Promise<Pick<LayerCheck, "status" | "detail">> {
	// A mounted overlay must not lose what lies below it, and a stopped container knows the directory.
	if ([...context.chainsInUse()].includes(layer.chainId)) {
		return { status: "damaged", detail: `${damage}; not repaired: a container uses it` };
	}
	const failures: string[] = [];
	for (const blob of context.distribution.blobs(layer.diffId)) {
		try {
			await replace(context, layer, blob, options);
			return { status: "repaired", detail: `${damage}; fetched again from ${blob.repository}` };
		} catch (error) {
			failures.push(`${blob.repository}: ${messageOf(error)}`);
		}
	}
	const why = failures.length > 0 ? failures.join("; ") : "no registry is known to have it";
	return { status: "damaged", detail: `${damage}; not repaired: ${why}` };
}

async function replace(
	context: Context,
	{ chainId, diffId }: { readonly chainId: string; readonly diffId: string },
	blob: LayerBlob,
	{ credentials = {}, signal }: CheckOptions,
): Promise<void> {
	const { digest, size } = blob;
	const repository = parseReference(blob.repository);
	const options = { credentials: credentialsFor(credentials, repository.domain), signal };
	const body = context.registry.blob(repository, blob, options);
	await using staged = await context.snapshotter.stage({ body, digest, size });
	if (staged.diffId !== diffId)
		throw new EngineError("invalid", `layer has diffID ${staged.diffId}, expected ${diffId}`);
	await context.snapshotter.removeLayer(chainId);
	await staged.adopt(chainId);
}
