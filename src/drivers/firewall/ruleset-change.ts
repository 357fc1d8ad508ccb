import { type RulesetModel, renderRuleset, tableOf } from "./ruleset.ts";

/**
 * Commands that lead from the table of some networks to that of others, by adding and deleting elements; undefined where the rules themselves differ, so
 * that only a whole new table will do. Read off the two tables as they are written: nothing they are drawn from can be forgotten here.
 */
export function renderNetworkChange(instance: string, before: TableParts, after: TableParts): string | undefined {
	if (before.frame !== after.frame) return undefined;
	const table = tableOf(instance);
	return [...after.sets].map(([name, elements]) => change(table, name, before.sets.get(name), elements)).join("");
}

/** What is worth keeping until the next change: with 500 networks it takes milliseconds to draw. */
export function tableParts(model: Omit<RulesetModel, "ports">): TableParts {
	return partsOf(renderRuleset({ ...model, ports: [] }));
}

export interface TableParts {
	/** The text without elements. */
	readonly frame: string;
	/** Elements by the set's name. */
	readonly sets: ReadonlyMap<string, ReadonlySet<string>>;
}

function partsOf(ruleset: string): TableParts {
	const sets = new Map<string, Set<string>>();
	const frame = ruleset.replace(/\tset (\S+) \{\n((?:\t\t.*\n)*?)\t\}\n/g, (_, name: string, body: string) => {
		const elements = /\t\telements = \{ (.*) \}\n/.exec(body);
		sets.set(name, new Set(elements?.[1]?.split(", ")));
		return `${name} ${elements ? body.replace(elements[0], "") : body}`;
	});
	return { frame, sets };
}

/** What goes, goes first: its address may be another's now. */
function change(
	table: string,
	name: string,
	before: ReadonlySet<string> = new Set(),
	after: ReadonlySet<string>,
): string {
	const command = (verb: string, elements: ReadonlySet<string>) =>
		elements.size > 0 ? `${verb} element ${table} ${name} { ${[...elements].join(", ")} }\n` : "";
	return command("delete", before.difference(after)) + command("add", after.difference(before));
}
