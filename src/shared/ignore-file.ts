/**
 * Patterns of a .dockerignore and of `COPY --exclude`. Source: Docker's documentation, ".dockerignore files"; `**` crosses slashes, the rest is
 * Go's filepath.Match.
 */

import { type GlobStep, globMatcher } from "./glob.ts";

/** Whether a path, or a directory above it, is excluded by the lines of a .dockerignore: the last pattern that matches decides, `!` takes back. */
export function isIgnored(path: string, ignoreFile: string): boolean {
	return ignoring(ignorePatterns(ignoreFile))(path);
}

/** The patterns of a file, cleaned, `!` before those that take back. */
export function ignorePatterns(text: string): string[] {
	return text
		.replace(/^\uFEFF/, "")
		.split("\n")
		.filter((line) => !line.startsWith("#"))
		.flatMap((line) => {
			const trimmed = line.trim();
			const negated = trimmed.startsWith("!");
			const pattern = clean(negated ? trimmed.slice(1).trim() : trimmed);
			return pattern === "" ? [] : [negated ? `!${pattern}` : pattern];
		});
}

/** Tells of a path relative to the root whether the patterns leave it out. */
export function ignoring(patterns: readonly string[]): (path: string) => boolean {
	const known = patterns.flatMap((one) => {
		const negated = one.startsWith("!");
		const matches = matcherOf(clean(negated ? one.slice(1) : one));
		return matches ? [{ negated, matches }] : [];
	});
	return (path) => {
		const parts = path.split("/");
		let ignored = false;
		for (const { negated, matches } of known) {
			if (ignored !== negated) continue;
			if (parts.some((_, i) => matches(parts.slice(0, i + 1).join("/")))) ignored = !negated;
		}
		return ignored;
	};
}

/** As Go's filepath.Clean, without slashes at either end. */
function clean(pattern: string): string {
	const parts: string[] = [];
	for (const part of pattern.split("/")) {
		if (part === "" || part === ".") continue;
		if (part === "..") parts.pop();
		else parts.push(part);
	}
	return parts.join("/");
}

function matcherOf(pattern: string): ((path: string) => boolean) | undefined {
	// `**x` is everything that ends so, without a slash before it
	if (/^\*\*[^/*?[\\]+$/.test(pattern)) return (path) => path.endsWith(pattern.slice(2));
	const steps: GlobStep[] = [];
	for (let i = 0; i < pattern.length; i++) {
		const char = String.fromCodePoint(pattern.codePointAt(i) ?? 0);
		i += char.length - 1;
		if (pattern.startsWith("**", i)) {
			i += 1;
			if (pattern[i + 1] === "/") i += 1;
			// At the end it is everything, else any directories, none too.
			steps.push(i + 1 >= pattern.length ? { many: "." } : "directories");
		} else if (char === "*") steps.push({ many: "[^/]" });
		else if (char === "?") steps.push({ one: "[^/]" });
		else if (char === "\\") steps.push(...[...(pattern[++i] ?? "")].map((one) => ({ one: escaped(one) })));
		else if (char === "[" && pattern.indexOf("]", i + 2) > 0) {
			const end = pattern.indexOf("]", i + 2);
			steps.push({ one: `[${pattern.slice(i + 1, end).replace(/[\\[]/g, "\\$&")}]` });
			i = end;
		} else steps.push({ one: escaped(char) });
	}
	return globMatcher(steps);
}

function escaped(text: string): string {
	return text.replace(/[\\^$.|?*+()[\]{}]/g, "\\$&");
}
