/** A set or map in a table, `type` with its word: `type ipv4_addr`. */
export function setText(
	kind: "set" | "map",
	name: string,
	type: string,
	elements: readonly string[],
	flags?: string,
): string {
	const flagsLine = flags ? `\t\tflags ${flags}\n` : "";
	const line = elements.length > 0 ? `\t\telements = { ${elements.join(", ")} }\n` : "";
	return `\t${kind} ${name} {\n\t\t${type}\n${flagsLine}${line}\t}\n`;
}

/** Commands from one content to the next. What goes, goes first: an address may have another group now. */
export function elementChange(table: string, set: string, before: readonly string[], after: readonly string[]): string {
	const [old, wanted] = [new Set(before), new Set(after)];
	const gone = before.filter((element) => !wanted.has(element));
	const come = after.filter((element) => !old.has(element));
	const command = (verb: string, elements: readonly string[]) =>
		elements.length > 0 ? `${verb} element ${table} ${set} { ${elements.join(", ")} }\n` : "";
	return command("delete", gone) + command("add", come);
}
