import type { RegistryOptions } from "../../drivers/registry/driver.ts";
import type { Descriptor } from "../../oci/manifest.ts";
import type { Reference } from "../../oci/reference.ts";
import { shortId } from "../../shared/id.ts";
import type { Context } from "./context.ts";
import { localFirst } from "./kept.ts";
import type { LayerState, Output } from "./progress.ts";
import type { Slots } from "./transfers.ts";

export interface LayerJob {
	readonly chainId: string;
	readonly parentChainId?: string;
	readonly diffId: string;
	readonly blob: Descriptor;
	readonly repository: Reference;
	/** Of this pull. */
	readonly slots: Slots;
}

type Options = RegistryOptions & { readonly signal: AbortSignal };

/** Fetches, checks and unpacks one layer in one pass, together with whoever else wants it. */
export async function pullLayer(context: Context, job: LayerJob, options: Options, output: Output): Promise<void> {
	const { chainId, blob, diffId } = job;
	const id = shortId(blob.digest);
	if (!context.snapshotter.has(chainId)) {
		await context.transfers.join(
			chainId,
			(report, signal) => fetchLayer(context, job, { ...options, signal }, report),
			(state) => output.layer(id, state),
			options.signal,
		);
	}
	const { digest, size, mediaType } = blob;
	context.distribution.saveBlob({ diffId, digest, size, mediaType, repository: repositoryName(job.repository) });
}

/** The key a repository is remembered by: `docker.io/library/busybox`. */
export function repositoryName({ domain, path }: Reference): string {
	return `${domain}/${path}`;
}

async function fetchLayer(
	context: Context,
	job: LayerJob,
	options: Options,
	report: (state: LayerState) => void,
): Promise<void> {
	const waits = () => report({ status: "Waiting" });
	using _own = await job.slots.acquire(options.signal, waits);
	using _all = await context.slots.acquire(options.signal, waits);
	const { chainId, parentChainId, diffId, blob } = job;
	if (context.snapshotter.has(chainId)) return report({ status: "Already exists" });
	const total = blob.size;
	let complete = false;
	const body = localFirst(context).blob(job.repository, blob, options);
	await context.snapshotter.extract({
		chainId,
		parentChainId,
		diffId,
		source: {
			body: counted(
				body,
				(current) => report({ status: "Downloading", current, total }),
				() => {
					complete = true;
					report({ status: "Verifying Checksum" });
					report({ status: "Download complete" });
				},
			),
			digest: blob.digest,
			size: blob.size,
		},
		onProgress: (current) => {
			if (complete) report({ status: "Extracting", current, total });
		},
	});
	report({ status: "Extracting", current: total, total });
	report({ status: "Pull complete" });
}

async function* counted(
	body: AsyncIterable<Uint8Array>,
	onBytes: (sum: number) => void,
	onEnd: () => void,
): AsyncIterable<Uint8Array> {
	let sum = 0;
	for await (const chunk of body) {
		sum += chunk.length;
		onBytes(sum);
		yield chunk;
	}
	onEnd();
}
