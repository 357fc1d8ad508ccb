import { setTimeout } from "node:timers/promises";
import type { RegistryOptions } from "../../drivers/registry/driver.ts";
import type { Reference } from "../../oci/reference.ts";
import { EngineError, type ErrorCode } from "../../shared/errors.ts";
import type { LayerBlob } from "../../store/distribution.ts";
import type { Context } from "./context.ts";
import type { LayerState } from "./progress.ts";
import { repositoryName } from "./pull-layer.ts";

/** A compressed layer as the registry has it now. */
export interface SentLayer {
	readonly digest: string;
	readonly size: number;
}

interface Job {
	readonly chainId: string;
	readonly diffId: string;
	readonly repository: Reference;
}

type Report = (state: LayerState) => void;

/** How often a layer is begun anew when the registry breaks off: an upload cannot go back in its stream. */
const ATTEMPTS = 5;
const FIRST_PAUSE_MS = 250;
const PASSING: readonly ErrorCode[] = ["unavailable", "too-many-requests"];
/** Digests known from elsewhere that are worth a question. */
const MAX_GUESSES = 3;
const LAYER_TYPE = "application/vnd.docker.image.rootfs.diff.tar.gzip";

/** Makes the registry have the layer, in the cheapest way: it has it, it has it in another repository, or it gets it. */
export async function pushLayer(
	context: Context,
	job: Job,
	options: RegistryOptions,
	report: Report,
): Promise<SentLayer> {
	const there = (await findThere(context, job, options, report)) ?? (await upload(context, job, options, report));
	const { digest, size } = there;
	const repository = repositoryName(job.repository);
	context.distribution.saveBlob({ diffId: job.diffId, digest, size, mediaType: LAYER_TYPE, repository });
	return there;
}

async function findThere(
	context: Context,
	job: Job,
	options: RegistryOptions,
	report: Report,
): Promise<SentLayer | undefined> {
	const { registry, distribution } = context;
	const here = repositoryName(job.repository);
	// A manifest of ours says gzip; layers that lie there as zstd are sent anew.
	const known = distribution.blobs(job.diffId).filter((blob) => /gzip$/.test(blob.mediaType));
	const asked = new Set<string>();
	for (const blob of known.filter((one) => one.repository === here)) {
		asked.add(blob.digest);
		if (await registry.hasBlob(job.repository, blob.digest, options)) return exists(blob, report);
		distribution.forgetBlob(blob);
	}
	const domain = `${job.repository.domain}/`;
	for (const blob of known.filter((one) => one.repository !== here && one.repository.startsWith(domain))) {
		const from = blob.repository.slice(domain.length);
		if (!(await registry.mountBlob(job.repository, blob.digest, from, options))) continue;
		report({ status: `Mounted from ${from}` });
		return blob;
	}
	const guesses = [...new Map(known.map((blob) => [blob.digest, blob])).values()].filter(
		(blob) => !asked.has(blob.digest),
	);
	for (const blob of guesses.slice(0, MAX_GUESSES)) {
		if (await registry.hasBlob(job.repository, blob.digest, options)) return exists(blob, report);
	}
	return undefined;
}

function exists(blob: LayerBlob, report: Report): SentLayer {
	report({ status: "Layer already exists" });
	return blob;
}

async function upload(context: Context, job: Job, options: RegistryOptions, report: Report): Promise<SentLayer> {
	return await attempts(options.signal, async () => {
		const layer = context.snapshotter.assemble(job.chainId, "gzip");
		const body = counted(layer.body, context.snapshotter.tarSize(job.chainId), report);
		await context.registry.pushBlob(job.repository, body, async () => (await layer.summary()).digest, options);
		report({ status: "Pushed" });
		return await layer.summary();
	});
}

/** Does an upload, anew after a pause as long as what stops it may pass. */
export async function attempts<T>(signal: AbortSignal | undefined, work: () => Promise<T>): Promise<T> {
	for (let attempt = 1; ; attempt++) {
		try {
			return await work();
		} catch (error) {
			const again = error instanceof EngineError && PASSING.includes(error.code) && attempt < ATTEMPTS;
			if (!again || signal?.aborted) throw error;
			await setTimeout(FIRST_PAUSE_MS * 2 ** (attempt - 1), undefined, { signal });
		}
	}
}

/** The total is the layer's unpacked tar, as docker's: how much it will be when compressed is known at its end alone. */
async function* counted(body: AsyncIterable<Uint8Array>, total: number, report: Report): AsyncIterable<Uint8Array> {
	let current = 0;
	for await (const chunk of body) {
		current += chunk.length;
		report({ status: "Pushing", current: Math.min(current, total), total });
		yield chunk;
	}
	report({ status: "Pushing", current: total, total });
}
