import { parseReference } from "../../oci/reference.ts";
import { messageOf } from "../../shared/errors.ts";
import type { KeptBlob } from "../../store/kept-indexes.ts";
import type { CheckOptions } from "./check.ts";
import { isManifestType } from "./choose.ts";
import type { Context } from "./context.ts";
import type { LayerCheck } from "./contract.ts";
import { credentialsFor } from "./credentials.ts";

/** Reads every part of the kept indexes again. */
export async function* checkKept(context: Context, options: CheckOptions): AsyncIterable<LayerCheck> {
	const done = new Set<string>();
	for (const [index, images] of context.kept.indexes()) {
		const parts = context.kept.blobs(index);
		using _hold = context.layers.holdBlobs(parts.map(({ digest }) => digest));
		for (const part of parts) {
			if (options.signal?.aborted) return;
			if (done.has(part.digest)) continue;
			done.add(part.digest);
			const line = { chainId: part.digest, diffId: part.digest, images };
			const damage = await damageOf(context, part.digest);
			if (damage === undefined) yield { ...line, status: "ok" };
			else if (!options.repair) yield { ...line, status: "damaged", detail: damage };
			else yield { ...line, ...(await repair(context, part, damage, options)) };
		}
	}
}

async function damageOf({ blobs }: Context, digest: string): Promise<string | undefined> {
	if (!blobs.has(digest)) return "the blob is missing";
	try {
		await blobs.verify(digest);
		return undefined;
	} catch (error) {
		return messageOf(error);
	}
}

async function repair(
	context: Context,
	part: KeptBlob,
	damage: string,
	{ credentials = {}, signal }: CheckOptions,
): Promise<Pick<LayerCheck, "status" | "detail">> {
	if (part.repository === "") return { status: "damaged", detail: `${damage}; not repaired: it came in an archive` };
	const repository = parseReference(part.repository);
	const options = { credentials: credentialsFor(credentials, repository.domain), signal };
	try {
		if (part.mediaType !== "" && isManifestType(part.mediaType)) {
			const { bytes } = await context.registry.manifest({ ...repository, digest: part.digest }, options);
			await context.blobs.put(part.digest, bytes.length, once(bytes));
		} else await context.blobs.put(part.digest, part.size, context.registry.blob(repository, part, options));
		return { status: "repaired", detail: `${damage}; fetched again from ${part.repository}` };
	} catch (error) {
		return { status: "damaged", detail: `${damage}; not repaired: ${part.repository}: ${messageOf(error)}` };
	}
}

async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
	yield bytes;
}
