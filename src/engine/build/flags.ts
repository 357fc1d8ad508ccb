export interface Flag {
	readonly name: string;
	/** undefined: without `=`. */
	readonly value?: string;
}

/** The flags that an instruction's words begin with, quotes taken away, and what follows. Source: BuildKit, how it reads a line. */
export function takeFlags(text: string, escapeChar: string): { readonly flags: Flag[]; readonly rest: string } {
	const flags: Flag[] = [];
	let rest = text.trimStart();
	while (rest.startsWith("--")) {
		const { word, length } = firstWord(rest, escapeChar);
		rest = rest.slice(length).trimStart();
		if (word === "--") break;
		const at = word.indexOf("=");
		flags.push(at < 0 ? { name: word.slice(2) } : { name: word.slice(2, at), value: word.slice(at + 1) });
	}
	return { flags, rest };
}

function firstWord(text: string, escapeChar: string): { word: string; length: number } {
	let word = "";
	let quote = "";
	let i = 0;
	for (; i < text.length; i++) {
		const char = text[i] ?? "";
		if (quote === "" && /\s/.test(char)) break;
		if (char === escapeChar && i + 1 < text.length) word += text[++i];
		else if (quote !== "" && char === quote) quote = "";
		else if (quote === "" && (char === "'" || char === '"')) quote = char;
		else word += char;
	}
	return { word, length: i };
}
