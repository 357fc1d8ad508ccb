import { rmSync } from "node:fs";
import { EngineError, messageOf } from "../../shared/errors.ts";
import { type Context, change, containerDir, find, isRunning, publish } from "./context.ts";
import { releaseAll } from "./exit.ts";
import { dropHosts } from "./files.ts";
import { linkedAs, linksOf } from "./link-names.ts";
import { anonymousNames } from "./mounts/volumes.ts";
import { endNow } from "./stop.ts";

/** Contract: Containers.remove. */
export async function remove(
	context: Context,
	ref: string,
	options: { force: boolean; volumes?: boolean; link: boolean },
): Promise<void> {
	const { id } = find(context, ref);
	if (options.link) return removeLink(context, ref);
	refuseUnlessStopped(context, id, options.force, ref);
	context.restarts.cancel(id);
	if (isRunning(find(context, id).state)) await endNow(context, id);
	await context.locks.run(id, async () => {
		const record = context.store.get(id);
		// --rm may have been faster.
		if (!record) return;
		if (isRunning(record.state)) refuseUnlessStopped(context, id, false, ref);
		if (options.volumes) change(context, id, { removeVolumes: true });
		await removeLocked(context, id);
	});
}

/** `docker rm --link OWNER/ALIAS`: the owner forgets it, its /etc/hosts too. */
function removeLink(context: Context, ref: string): void {
	const named = linkedAs(context.store, ref.replace(/^\//, ""));
	if (!named) throw new EngineError("conflict", "Conflict, cannot remove the default link name of the container");
	const { owner, target, link } = named;
	const left = linksOf(owner).filter(({ alias }) => alias !== link.alias);
	const Links = left.map((one) => `${one.target}:${one.alias}`);
	change(context, owner.id, { hostConfig: { ...owner.hostConfig, Links } });
	const addresses = (target.network?.endpoints ?? []).flatMap(({ ipAddress }) => ipAddress ?? []);
	dropHosts(context, owner.id, (line) => addresses.some((address) => line.startsWith(`${address}\t${link.alias} `)));
}

function refuseUnlessStopped(context: Context, id: string, force: boolean, ref: string): void {
	const { state } = find(context, id);
	if (state.status === "removing")
		throw new EngineError("conflict", `removal of container ${id} is already in progress`);
	if (force || !(isRunning(state) || state.status === "restarting")) return;
	const advice =
		state.status === "paused"
			? "container is paused and must be unpaused first"
			: `container is ${state.status}: stop the container before removing or force remove`;
	throw new EngineError("conflict", `cannot remove container "${ref}": ${advice}`);
}

/** Removes a container that does not run, under its lock. What fails leaves it `dead`, and may be tried again. `released`: all but its files are gone already. */
export async function removeLocked(context: Context, id: string, released = false): Promise<void> {
	const record = context.store.get(id);
	if (!record) return;
	const { state } = record;
	const ended = "exitCode" in state ? { ...state } : {};
	context.restarts.cancel(id);
	context.secretEnv.delete(id);
	change(context, id, { state: { ...ended, status: "removing" } });
	try {
		if (!released) await releaseAll(context, id);
		await context.snapshotter.remove(id);
		rmSync(containerDir(context, id), { recursive: true, force: true });
		const record = context.store.get(id);
		const volumes = record?.removeVolumes || record?.hostConfig.AutoRemove ? anonymousNames(record) : [];
		await context.volumes.drop(id, volumes).catch((error) => {
			context.log.warn("anonymous volumes not removed", { id, volumes, error: messageOf(error) });
		});
		context.store.delete(id);
	} catch (error) {
		change(context, id, { state: { ...ended, status: "dead", error: messageOf(error) } });
		throw new EngineError("internal", `cannot remove container "/${record.name}": ${messageOf(error)}`, {
			cause: error,
		});
	}
	publish(context, record, "destroy");
	const exitCode = ("exitCode" in state ? state.exitCode : 0) ?? 0;
	context.waits.notify(id, "removed", { exitCode });
}
