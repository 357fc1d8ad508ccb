import { EngineError } from "../../shared/errors.ts";
import { type Context, change, find, publish } from "./context.ts";
import { retargeted } from "./link-names.ts";
import { checkName } from "./names.ts";
import { notRunning } from "./stop.ts";

/** Contract: Containers.pause. */
export function pause(context: Context, ref: string): Promise<void> {
	const { id } = find(context, ref);
	return context.locks.run(id, async () => {
		const record = find(context, id);
		if (record.state.status === "paused") throw new EngineError("conflict", `Container ${id} is already paused`);
		if (record.state.status !== "running") throw notRunning(id);
		await context.runtime.pause(id);
		change(context, id, { state: { ...record.state, status: "paused" } });
		context.followHealth(id);
		publish(context, record, "pause");
	});
}

/** Contract: Containers.unpause. */
export function unpause(context: Context, ref: string): Promise<void> {
	const { id } = find(context, ref);
	return context.locks.run(id, async () => {
		const record = find(context, id);
		if (record.state.status !== "paused") throw new EngineError("conflict", `Container ${id} is not paused`);
		await context.runtime.resume(id);
		change(context, id, { state: { ...record.state, status: "running" } });
		context.followHealth(id);
		publish(context, record, "unpause");
	});
}

/** Contract: Containers.rename. */
export function rename(context: Context, ref: string, asked: string): Promise<void> {
	const { id } = find(context, ref);
	return context.locks.run(id, async () => {
		const { name: before } = find(context, id);
		if (asked === "") throw new EngineError("invalid", "Neither old nor new names may be empty");
		if (asked.replace(/^\//, "") === before) {
			throw new EngineError("invalid", "Renaming a container with the same name as its current name");
		}
		const record = change(context, id, { name: newName(context, asked) });
		for (const [owner, hostConfig] of retargeted(context.store, before, record?.name ?? before))
			change(context, owner, { hostConfig });
		if (record) publish(context, record, "rename", { oldName: `/${before}` });
	});
}

/** checkName in the words that docker has for a rename, where the name has its slash already. */
function newName(context: Context, asked: string): string {
	try {
		return checkName(context, asked.startsWith("/") ? asked : `/${asked}`);
	} catch (error) {
		if (!(error instanceof EngineError)) throw error;
		throw new EngineError(error.code, `Error when allocating new name: ${error.message}`, { cause: error });
	}
}
