import { splitWords } from "./words.ts";

/** A here-document of RUN, COPY or ADD. Source: Dockerfile reference, "Here-documents". */
export interface Heredoc {
	readonly name: string;
	/** As it stands in the file, each line with its end. */
	readonly content: string;
	/** Variables in it are filled in: its name is not quoted. */
	readonly expand: boolean;
	/** `<<-`: tabs at the start of lines do not count. */
	readonly chomp: boolean;
}

/** Stands for `<` in what is handed to the parser, which knows nothing of here-documents then. */
const MARK = "\u0001";
const MAY_HAVE = /^\s*(?:ONBUILD\s+)?(?:RUN|COPY|ADD)\s+([\s\S]*)$/i;

/**
 * Takes the here-documents out of a Dockerfile: in `text` their lines are empty, and `<<` is marked (`unmarked` undoes that). By the number of
 * the line where their instruction starts, from 1. Throws SyntaxError, with the line in its message.
 */
export function liftHeredocs(
	text: string,
	escapeChar: string,
): { readonly text: string; readonly heredocs: ReadonlyMap<number, readonly Heredoc[]> } {
	const lines = text.split("\n");
	const found = new Map<number, readonly Heredoc[]>();
	for (let at = 0; at < lines.length; ) {
		const { joined, end } = instructionAt(lines, at, escapeChar);
		const openings = openingsOf(joined, escapeChar);
		if (MAY_HAVE.test(joined)) {
			for (let i = at; i < end; i++) lines[i] = (lines[i] ?? "").replaceAll("<<", MARK + MARK);
		}
		let next = end;
		const heredocs = openings.map((opening) => {
			const body = bodyAt(lines, next, opening);
			if (!body) throw new SyntaxError(`dockerfile parse error on line ${at + 1}: unterminated heredoc`);
			for (let i = next; i < body.end; i++) lines[i] = "";
			next = body.end;
			return { ...opening, content: body.content };
		});
		if (heredocs.length > 0) found.set(at + 1, heredocs);
		at = next;
	}
	return { text: lines.join("\n"), heredocs: found };
}

export function unmarked(text: string): string {
	return text.replaceAll(MARK, "<");
}

/** One word as a here-document's beginning: `<<EOF`, `3<<-"EOF"`; undefined: it is none. */
export function openingOf(word: string): Omit<Heredoc, "content"> | undefined {
	const [, dash, rest = ""] = /^\d*<<(-?)([^<\s]+)$/.exec(word) ?? [];
	if (rest === "") return undefined;
	const name = rest.replace(/'([^']*)'|"([^"]*)"|\\(.)/g, (_, a, b, c) => a ?? b ?? c ?? "");
	return name === "" ? undefined : { name, expand: name === rest, chomp: dash === "-" };
}

/** Its lines without the tabs that `<<-` does away with. */
export function contentOf({ content, chomp }: Heredoc): string {
	return chomp ? content.replace(/^\t+/gm, "") : content;
}

/** The instruction that starts at a line, continued lines joined; a comment or an empty line is one of its own. */
function instructionAt(lines: readonly string[], at: number, escapeChar: string): { joined: string; end: number } {
	if (isBare(lines[at])) return { joined: "", end: at + 1 };
	let joined = "";
	for (let i = at; i < lines.length; i++) {
		const line = (lines[i] ?? "").replace(/\r$/, "");
		if (i > at && isBare(line)) continue;
		const text = line.replace(/[ \t]+$/, "");
		if (!text.endsWith(escapeChar)) return { joined: joined + line, end: i + 1 };
		joined += text.slice(0, -1);
	}
	return { joined, end: lines.length };
}

function isBare(line = ""): boolean {
	return /^\s*(#|$)/.test(line);
}

function openingsOf(instruction: string, escapeChar: string): Omit<Heredoc, "content">[] {
	const rest = MAY_HAVE.exec(instruction)?.[1];
	if (rest === undefined || isJson(rest.replace(/^(--\S+\s+)*/, ""))) return [];
	return splitWords(rest, escapeChar).flatMap((word) => openingOf(word) ?? []);
}

function isJson(text: string): boolean {
	try {
		return Array.isArray(JSON.parse(text));
	} catch {
		return false;
	}
}

function bodyAt(
	lines: readonly string[],
	start: number,
	{ name, chomp }: Omit<Heredoc, "content">,
): { content: string; end: number } | undefined {
	for (let i = start; i < lines.length; i++) {
		const line = (lines[i] ?? "").replace(/\r$/, "");
		if ((chomp ? line.replace(/^\t+/, "") : line) !== name) continue;
		const body = lines.slice(start, i);
		return { content: body.map((one) => `${one}\n`).join(""), end: i + 1 };
	}
	return undefined;
}
