import { EngineError } from "../../shared/errors.ts";

/** Value of a variable; undefined: not set. */
export type Lookup = (name: string) => string | undefined;

const SPECIAL = new Set(["@", "*", "#", "?", "-", "$", "!", "0"]);

/**
 * One word of a Dockerfile as its reader means it: quotes and escapes taken away, variables filled in. Source: Dockerfile reference, "Environment
 * replacement". Throws "invalid" in docker's words.
 */
export function expandWord(word: string, lookup: Lookup, escapeChar: string): string {
	return expand(word, lookup, escapeChar).text;
}

/** The variables of a here-document: quotes stay as they are. */
export function expandText(text: string, lookup: Lookup, escapeChar: string): string {
	return expand(text, lookup, escapeChar, false).text;
}

/** The same where the result may be several words: EXPOSE $PORTS. Blanks that come from a variable separate, quoted ones do not. */
export function expandWords(word: string, lookup: Lookup, escapeChar: string): string[] {
	return expand(word, lookup, escapeChar).words;
}

function expand(word: string, lookup: Lookup, escapeChar: string, quotes = true) {
	const reader = new WordReader(word, lookup, escapeChar, quotes);
	try {
		const text = reader.until("");
		return { text, words: reader.words() };
	} catch (error) {
		if (!(error instanceof SyntaxError)) throw error;
		throw new EngineError("invalid", `failed to process ${JSON.stringify(word)}: ${error.message}`);
	}
}

class WordReader {
	private at = 0;
	private depth = 0;
	private readonly found: string[] = [];
	private current = "";
	private open = false;

	constructor(
		private readonly text: string,
		private readonly lookup: Lookup,
		private readonly escapeChar: string,
		private readonly quotes: boolean,
	) {}

	words(): string[] {
		if (this.open) this.found.push(this.current);
		return this.found;
	}

	/** Reads to `stop` (taken too) or to the end when that is "". */
	until(stop: string): string {
		let result = "";
		this.depth++;
		while (this.at < this.text.length) {
			const char = this.text[this.at] ?? "";
			if (char === stop) {
				this.at++;
				this.depth--;
				return result;
			}
			if (this.quotes && char === "'") result += this.keep(this.single());
			else if (this.quotes && char === '"') result += this.keep(this.double());
			else if (char === "$") result += this.split(this.dollar());
			else {
				this.at++;
				const escaped = char === this.escapeChar;
				const plain = escaped ? (this.text[this.at++] ?? "") : char;
				result += escaped ? this.keep(plain) : this.split(plain);
			}
		}
		if (stop !== "") throw new SyntaxError("syntax error: missing '}'");
		return result;
	}

	private keep(text: string): string {
		if (this.depth === 1) {
			this.current += text;
			this.open = true;
		}
		return text;
	}

	private split(text: string): string {
		if (this.depth > 1) return text;
		const [first = "", ...rest] = text.split(/[ \t\r\n]+/);
		if (first !== "") this.keep(first);
		for (const part of rest) {
			if (this.open) this.found.push(this.current);
			this.current = "";
			this.open = false;
			if (part !== "") this.keep(part);
		}
		return text;
	}

	private single(): string {
		const end = this.text.indexOf("'", this.at + 1);
		if (end < 0) throw new SyntaxError("unexpected end of statement while looking for matching single-quote");
		const inside = this.text.slice(this.at + 1, end);
		this.at = end + 1;
		return inside;
	}

	private double(): string {
		let result = "";
		this.at++;
		for (;;) {
			const char = this.text[this.at];
			if (char === undefined) {
				throw new SyntaxError("unexpected end of statement while looking for matching double-quote");
			}
			if (char === '"') {
				this.at++;
				return result;
			}
			if (char === "$") {
				result += this.dollar();
				continue;
			}
			this.at++;
			const next = this.text[this.at];
			if (char === this.escapeChar && next !== undefined && ['"', "$", this.escapeChar].includes(next)) {
				result += next;
				this.at++;
			} else {
				result += char;
			}
		}
	}

	private dollar(): string {
		this.at++;
		if (this.text[this.at] !== "{") {
			const name = this.name();
			return name === "" ? "$" : (this.lookup(name) ?? "");
		}
		this.at++;
		const name = this.name();
		if (name === "") throw new SyntaxError("syntax error: bad substitution");
		const sign = this.text[this.at++] ?? "";
		if (sign === "}") return this.lookup(name) ?? "";
		if (sign === "#" || sign === "%") return this.trim(name, sign);
		if (sign === "/") return this.replace(name);
		const colon = sign === ":";
		const modifier = colon ? (this.text[this.at++] ?? "") : sign;
		if (!["-", "+", "?"].includes(modifier)) {
			throw new SyntaxError(`unsupported modifier (${sign}${colon ? modifier : ""}) in substitution`);
		}
		return this.otherwise(name, modifier, colon);
	}

	/** `-word`, `+word`, `?word`; with a colon an empty value counts as none. */
	private otherwise(name: string, modifier: string, colon: boolean): string {
		const word = this.until("}");
		const value = this.lookup(name);
		const isSet = value !== undefined && !(colon && value === "");
		if (modifier === "+") return isSet ? word : "";
		if (isSet) return value;
		if (modifier === "-") return word;
		const what = colon ? "is not allowed to be empty" : "is not allowed to be unset";
		throw new SyntaxError(`${name}: ${word === "" ? what : word}`);
	}

	private trim(name: string, sign: "#" | "%"): string {
		const greedy = this.text[this.at] === sign;
		if (greedy) this.at++;
		const pattern = glob(this.until("}"), greedy);
		const value = this.lookup(name) ?? "";
		if (sign === "#") return value.replace(new RegExp(`^${pattern}`, "s"), "");
		if (greedy) return value.replace(new RegExp(`${pattern}$`, "s"), "");
		// The shortest end that fits.
		for (let i = value.length; i >= 0; i--) {
			if (new RegExp(`^${pattern}$`, "s").test(value.slice(i))) return value.slice(0, i);
		}
		return value;
	}

	private replace(name: string): string {
		const all = this.text[this.at] === "/";
		if (all) this.at++;
		const pattern = glob(this.until("/"), true);
		const by = this.until("}");
		return (this.lookup(name) ?? "").replace(new RegExp(pattern, all ? "gs" : "s"), () => by);
	}

	private name(): string {
		const rest = this.text.slice(this.at);
		const found = /^([A-Za-z_]\w*|\d+)/.exec(rest)?.[0] ?? (SPECIAL.has(rest[0] ?? "") ? rest[0] : "");
		this.at += found?.length ?? 0;
		return found ?? "";
	}
}

/**
 * As a regular expression. What stands between two stars is looked for once, where it comes first: to look further on would find nothing more, and
 * takes a power of the value's length.
 */
function glob(pattern: string, greedy: boolean): string {
	const parts = pattern.split(/\*+/).map((part) => part.replace(/[\\^$.|+()[\]{}]/g, "\\$&").replaceAll("?", "."));
	const [head = "", ...rest] = parts;
	const last = rest.pop();
	if (last === undefined) return head;
	const between = rest.map((part, i) => `(?=(.*?${part}))\\${i + 1}`);
	return `${head}${between.join("")}.*${greedy ? "" : "?"}${last}`;
}

/** Splits at blanks that are neither quoted nor escaped; quotes and escapes stay in the words. */
export function splitWords(text: string, escapeChar: string): string[] {
	const words: string[] = [];
	let word: string | undefined;
	let quote = "";
	for (let i = 0; i < text.length; i++) {
		const char = text[i] ?? "";
		if (quote === "" && /\s/.test(char)) {
			if (word !== undefined) words.push(word);
			word = undefined;
			continue;
		}
		word = (word ?? "") + char;
		if (char === escapeChar && quote !== "'") word += text[++i] ?? "";
		else if (quote !== "") quote = char === quote ? "" : quote;
		else if (char === "'" || char === '"') quote = char;
	}
	return word === undefined ? words : [...words, word];
}
