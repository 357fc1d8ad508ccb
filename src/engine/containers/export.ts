import { EngineError } from "../../shared/errors.ts";
import { type Context, find, publish } from "./context.ts";

/** Contract: Containers.exportRoot. */
export function exportRoot(context: Context, ref: string): AsyncIterable<Uint8Array> {
	const record = find(context, ref);
	const { status } = record.state;
	if (status === "dead" || status === "removing") {
		const what = status === "dead" ? "which is Dead" : "which is being removed";
		throw new EngineError("conflict", `You cannot export container ${record.id} ${what}`);
	}
	const body = context.snapshotter.archiveRoot(record.id);
	publish(context, record, "export");
	return body;
}
