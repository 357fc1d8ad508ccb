import { EngineError, messageOf } from "../../shared/errors.ts";
import { type Context, find, isRunning } from "./context.ts";

const PREFIX = "container:";

/** At create: `container:NAME` as it is stored, `container:ID`; another mode as it is. "invalid" when there is none: for the CLI "not found" is the image. */
export function storedMode(context: Pick<Context, "store">, mode: string): string {
	if (!mode.startsWith(PREFIX)) return mode;
	try {
		return PREFIX + find(context, mode.slice(PREFIX.length)).id;
	} catch (cause) {
		throw new EngineError("invalid", messageOf(cause), { cause });
	}
}

/** At a start: the first process of the container whose namespace is joined; undefined for another mode. "conflict" when it does not run. */
export function joinedPid(context: Pick<Context, "store">, mode: string, kind: "PID"): number | undefined {
	if (!mode.startsWith(PREFIX)) return undefined;
	const { id, state } = find(context, mode.slice(PREFIX.length));
	if (isRunning(state)) return state.pid;
	const why = state.status === "restarting" ? "is restarting" : "is not running";
	throw new EngineError("conflict", `failed to join ${kind} namespace: container ${id} ${why}`);
}
