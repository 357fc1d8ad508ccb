import type { ImageRunConfig } from "../../oci/image.ts";
import { EngineError } from "../../shared/errors.ts";
import { type Context, find, publish } from "./context.ts";
import type { CommitOptions } from "./contract.ts";
import { mergeEnv } from "./env.ts";
import { pause, unpause } from "./pause.ts";
import type { ContainerRecord } from "./record.ts";

/** Contract: Containers.commit. */
export async function commit(context: Context, ref: string, options: CommitOptions): Promise<{ id: string }> {
	const record = find(context, ref);
	const { status } = record.state;
	if (status === "dead") throw new EngineError("conflict", `You cannot commit container ${record.id} which is Dead`);
	if (status === "removing")
		throw new EngineError("conflict", `You cannot commit container ${record.id} which is being removed`);
	const image = context.images.resolve(record.imageId).config.config ?? {};
	await using undo = new AsyncDisposableStack();
	if (options.pause && status === "running") {
		await pause(context, record.id);
		undo.defer(() => unpause(context, record.id).catch(() => {}));
	}
	const { id, name } = await context.images.commit({
		parent: record.imageId,
		layer: context.snapshotter.archiveChanges(record.id),
		config: mergeRun(options.config ?? {}, runConfigOf(record, image)),
		changes: options.changes,
		author: options.author,
		comment: options.comment,
		command: (record.config.Cmd ?? []).join(" "),
		containerId: record.id,
		repo: options.repo,
		tag: options.tag,
	});
	publish(context, record, "commit", { comment: options.comment, imageID: id, imageRef: name ?? "" });
	return { id };
}

/** What the container ran with, as an image says it; what containers do not carry comes from their image. */
function runConfigOf({ config }: ContainerRecord, image: ImageRunConfig): ImageRunConfig {
	const health = config.Healthcheck ?? image.Healthcheck;
	return {
		...(config.User && { User: config.User }),
		...(config.ExposedPorts && { ExposedPorts: config.ExposedPorts }),
		Env: config.Env,
		...(config.Entrypoint && { Entrypoint: config.Entrypoint }),
		...(config.Cmd && { Cmd: config.Cmd }),
		...(config.Volumes && { Volumes: config.Volumes }),
		...(config.WorkingDir && { WorkingDir: config.WorkingDir }),
		Labels: config.Labels,
		...(config.StopSignal && { StopSignal: config.StopSignal }),
		...(image.Shell && { Shell: image.Shell }),
		...(image.OnBuild && { OnBuild: image.OnBuild }),
		...(health !== undefined && { Healthcheck: health }),
	};
}

/** docker's merge of a configuration given by the client over the container's: maps are united, the client's entries win. */
function mergeRun(asked: ImageRunConfig, own: ImageRunConfig): ImageRunConfig {
	const entrypoint = asked.Entrypoint ?? own.Entrypoint;
	const labels = { ...own.Labels, ...asked.Labels };
	const cmd = asked.Cmd ?? (asked.Entrypoint ? undefined : own.Cmd);
	return {
		...own,
		...asked,
		Env: mergeEnv(own.Env ?? [], asked.Env ?? []),
		Labels: Object.keys(labels).length > 0 ? labels : undefined,
		...((own.ExposedPorts || asked.ExposedPorts) && { ExposedPorts: { ...own.ExposedPorts, ...asked.ExposedPorts } }),
		...((own.Volumes || asked.Volumes) && { Volumes: { ...own.Volumes, ...asked.Volumes } }),
		Entrypoint: entrypoint,
		Cmd: cmd,
	};
}
