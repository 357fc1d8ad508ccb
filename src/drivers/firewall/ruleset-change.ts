import { type NetworkRules, type RulesetModel, renderRuleset, tableOf } from "./ruleset.ts";

/**
 * Commands that lead from the table of these networks to that of others, by adding and deleting elements; undefined where the rules themselves differ, so
 * that only a whole new table will do. Read off the two tables as they are written: nothing they are drawn from can be forgotten here.
 */
export function renderNetworkChange(
	model: Omit<RulesetModel, "ports">,
	networks: readonly NetworkRules[],
): string | undefined {
	const before = partsOf(renderRuleset({ ...model, ports: [] }));
	const after = partsOf(renderRuleset({ ...model, networks, ports: [] }));
	if (before.frame !== after.frame) return undefined;
	const table = tableOf(model.instance);
	return [...after.sets].map(([name, elements]) => change(table, name, before.sets.get(name), elements)).join("");
}

interface Parts {
	/** The text without elements. */
	readonly frame: string;
	/** Elements by the set's name. */
	readonly sets: ReadonlyMap<string, ReadonlySet<string>>;
}

function partsOf(ruleset: string): Parts {
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
