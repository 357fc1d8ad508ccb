/** Go's filepath.Match: `*` and `?` do not cross a slash, `[a-z]` and `[^a]` are classes, a backslash takes a meaning away. A bad pattern matches nothing. */
export function goMatch(pattern: string, name: string): boolean {
	const expression = toExpression(pattern);
	return expression?.test(name) ?? false;
}

function toExpression(pattern: string): RegExp | undefined {
	let source = "";
	for (let i = 0; i < pattern.length; i++) {
		const char = pattern[i] ?? "";
		if (char === "*") source += "[^/]*";
		else if (char === "?") source += "[^/]";
		else if (char === "\\") source += escaped(pattern[++i] ?? "\\");
		else if (char === "[") {
			const end = pattern.indexOf("]", pattern[i + 1] === "^" ? i + 3 : i + 2);
			if (end < 0) return undefined;
			const inside = pattern.slice(i + 1, end);
			source += `[${inside
				.replace(/^\^/, "\0")
				.replace(/[\\[\]^]/g, "\\$&")
				.replace("\0", "^")}]`;
			i = end;
		} else source += escaped(char);
	}
	try {
		return new RegExp(`^${source}$`, "su");
	} catch {
		return undefined;
	}
}

function escaped(char: string): string {
	return char.replace(/[\\^$.|?*+()[\]{}/-]/g, (one) => (one === "-" ? "-" : `\\${one}`));
}
