/** One way a registry offers to be authenticated to: one challenge of `WWW-Authenticate`. Scheme and keys are lower case. */
export interface Challenge {
	readonly scheme: string;
	readonly parameters: Readonly<Record<string, string>>;
}

const TOKEN = "[!#$%&'*+.^_`|~0-9A-Za-z-]+";
const PARAMETER = new RegExp(`^(${TOKEN})\\s*=\\s*(?:"((?:[^"\\\\]|\\\\.)*)"|([^\\s,"]+))\\s*`);
const SCHEME = new RegExp(`^(${TOKEN})(?:\\s+|$|(?=,))`);
/** Far above any real header; keeps a hostile one from costing time. */
const HEADER_LIMIT = 16 * 1024;

/**
 * The challenges of one or several joined `WWW-Authenticate` headers, in order. What cannot be read ends the list. Source of the grammar:
 * RFC 9110, 11.6.1: challenges and their parameters are both separated by commas.
 */
export function parseChallenges(header: string): Challenge[] {
	const found: { scheme: string; parameters: Record<string, string> }[] = [];
	let rest = header.slice(0, HEADER_LIMIT).replace(/^[\s,]+/, "");
	while (rest !== "") {
		const parameter = PARAMETER.exec(rest);
		const current = found.at(-1);
		if (parameter && current) {
			const value = parameter[2]?.replaceAll(/\\(.)/g, "$1") ?? parameter[3] ?? "";
			current.parameters[(parameter[1] ?? "").toLowerCase()] ??= value;
			rest = rest.slice(parameter[0].length);
		} else {
			const scheme = SCHEME.exec(rest);
			if (!scheme || parameter) break;
			found.push({ scheme: (scheme[1] ?? "").toLowerCase(), parameters: {} });
			rest = rest.slice(scheme[0].length);
		}
		rest = rest.replace(/^[\s,]+/, "");
	}
	return found;
}
