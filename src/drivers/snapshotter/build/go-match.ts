import { type GlobStep, globMatcher } from "../../../shared/glob.ts";

/** Go's filepath.Match: `*` and `?` do not cross a slash, `[a-z]` and `[^a]` are classes, a backslash takes a meaning away. A bad pattern matches nothing. */
export function goMatch(pattern: string, name: string): boolean {
	const steps = stepsOf(pattern);
	return (steps && globMatcher(steps)?.(name)) ?? false;
}

/** undefined: a class without an end. */
function stepsOf(pattern: string): GlobStep[] | undefined {
	const steps: GlobStep[] = [];
	for (let i = 0; i < pattern.length; i++) {
		const char = String.fromCodePoint(pattern.codePointAt(i) ?? 0);
		i += char.length - 1;
		if (char === "*") steps.push({ many: "[^/]" });
		else if (char === "?") steps.push({ one: "[^/]" });
		else if (char === "\\") steps.push({ one: escaped(pattern[++i] ?? "\\") });
		else if (char === "[") {
			const end = pattern.indexOf("]", pattern[i + 1] === "^" ? i + 3 : i + 2);
			if (end < 0) return undefined;
			const inside = pattern.slice(i + 1, end);
			const characters = inside
				.replace(/^\^/, "\0")
				.replace(/[\\[\]^]/g, "\\$&")
				.replace("\0", "^");
			steps.push({ one: `[${characters}]` });
			i = end;
		} else steps.push({ one: escaped(char) });
	}
	return steps;
}

function escaped(char: string): string {
	return char.replace(/[\\^$.|?*+()[\]{}/-]/g, (one) => (one === "-" ? "-" : `\\${one}`));
}
