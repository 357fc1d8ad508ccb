import { EngineError } from "../../shared/errors.ts";
import { type Context, find, isRunning, publish } from "./context.ts";
import { notRunning } from "./stop.ts";

/** Contract: Containers.top. */
export async function top(context: Context, ref: string, psArgs: string) {
	const record = find(context, ref);
	const { id, state } = record;
	const args = psArgs.trim() === "" ? ["-ef"] : psArgs.trim().split(/\s+/);
	if (args.some((word) => !/^[a-zA-Z0-9=,:%._+-]*$/.test(word))) {
		throw new EngineError("invalid", `invalid ps arguments: ${JSON.stringify(psArgs)}`);
	}
	if (!isRunning(state)) throw notRunning(id);
	const pids = await context.runtime.pids(id);
	const { exitCode, stdout, stderr } = await context.runPs(args);
	if (exitCode !== 0)
		throw new EngineError("invalid", `ps: ${stderr.trim().split("\n")[0] || `exit code ${exitCode}`}`);
	const table = parsePs(stdout, new Set(pids));
	publish(context, record, "top");
	return table;
}

/** The lines whose PID column is one of `pids`, the last column whole. "invalid" without such a column. */
export function parsePs(text: string, pids: ReadonlySet<number>): { Titles: string[]; Processes: string[][] } {
	const [head = "", ...lines] = text.trimEnd().split("\n");
	const Titles = head.trim().split(/\s+/);
	const column = Titles.indexOf("PID");
	if (column < 0) throw new EngineError("invalid", "Couldn't find PID field in ps output");
	const Processes = lines
		.map((line) => splitLine(line, Titles.length))
		.filter((fields) => pids.has(Number(fields[column])));
	return { Titles, Processes };
}

function splitLine(line: string, columns: number): string[] {
	const words = line.trim().split(/\s+/);
	return [...words.slice(0, columns - 1), words.slice(columns - 1).join(" ")];
}
