import type { Instruction as Node } from "dockerfile-ast";
import { EngineError } from "../../shared/errors.ts";
import { takeFlags } from "./flags.ts";
import { type Heredoc, liftHeredocs, unmarked } from "./heredocs.ts";
import type { Dockerfile, Instruction, Stage } from "./instructions.ts";
import { parseInstruction, type SourceLine } from "./parse-instruction.ts";

/**
 * Reads a Dockerfile: dockerfile-ast finds instructions, continuations and comments, heredocs.ts here-documents; what they mean is said by
 * parse-instruction.ts. Throws "invalid" in docker's words.
 */
export async function parseDockerfile(text: string): Promise<Dockerfile> {
	const { escapeChar, syntax, lines } = await readLines(text);
	if (lines.length === 0) throw new EngineError("invalid", "failed to parse Dockerfile: file with no instructions");
	const metaArgs: Dockerfile["metaArgs"][number][] = [];
	const stages: (Omit<Stage, "instructions"> & { instructions: Instruction[] })[] = [];
	for (const line of lines) {
		if (line.keyword === "FROM") {
			stages.push({ ...stageOf(line), instructions: [] });
			continue;
		}
		const instruction = parseInstruction(line, escapeChar);
		const stage = stages.at(-1);
		if (stage) stage.instructions.push(instruction);
		else if (instruction.do === "ARG") metaArgs.push(instruction);
		else throw new EngineError("invalid", "no build stage in current context");
	}
	if (stages.length === 0) throw new EngineError("invalid", "no build stage in current context");
	return { escapeChar, ...(syntax !== undefined && { syntax }), metaArgs, stages };
}

/** One instruction of its own: an ONBUILD trigger. */
export async function parseTrigger(text: string): Promise<Instruction> {
	const { escapeChar, lines } = await readLines(text);
	const [line, more] = lines;
	if (!line || more) throw new EngineError("invalid", "onbuild trigger should be a single expression");
	return parseInstruction(line, escapeChar);
}

async function readLines(text: string): Promise<{ escapeChar: string; syntax?: string; lines: SourceLine[] }> {
	// Builds are rare: what reads Dockerfiles is loaded with the first one.
	const { DockerfileParser } = await import("dockerfile-ast");
	const directives = directivesOf(text);
	const escapeChar = directives.get("escape") === "`" ? "`" : "\\";
	const { text: plain, heredocs } = lifted(text.replace(/^\uFEFF/, ""), escapeChar);
	const dockerfile = DockerfileParser.parse(withoutComments(plain));
	const lines = dockerfile.getInstructions().map((node) => lineOf(node, escapeChar, heredocs));
	return { escapeChar, syntax: directives.get("syntax"), lines };
}

/** Comments `name=value` at the very top. Throws "invalid" for one given twice, or an escape character that is none. */
function directivesOf(text: string): ReadonlyMap<string, string> {
	const found = new Map<string, string>();
	for (const line of text
		.replace(/^\uFEFF/, "")
		.replace(/^#!.*\n/, "")
		.split("\n")) {
		const [, name = "", value = ""] = /^#\s*([a-zA-Z][a-zA-Z0-9]*)\s*=\s*(.+?)\s*$/.exec(line) ?? [];
		const key = name.toLowerCase();
		if (!["syntax", "escape", "check"].includes(key)) break;
		if (found.has(key)) throw new EngineError("invalid", `only one ${key} parser directive can be used`);
		if (key === "escape" && value !== "`" && value !== "\\") {
			throw new EngineError("invalid", `invalid escape token '${value}' does not match ${"` or \\"}`);
		}
		found.set(key, value);
	}
	return found;
}

function lifted(text: string, escapeChar: string): ReturnType<typeof liftHeredocs> {
	try {
		return liftHeredocs(text, escapeChar);
	} catch (cause) {
		if (!(cause instanceof SyntaxError)) throw cause;
		throw new EngineError("invalid", cause.message, { cause });
	}
}

/** Directives stay, which are comments at the top. dockerfile-ast takes some indented comments between continued lines for text. */
function withoutComments(text: string): string {
	const lines = text.split("\n");
	const first = lines.findIndex((line) => !/^\s*(#|$)/.test(line));
	return lines.map((line, i) => (i > first && /^\s*#/.test(line) ? "" : line)).join("\n");
}

/** Instructions that have flags; in others two dashes are refused, or part of a command. */
const FLAGGED = ["FROM", "ADD", "COPY", "RUN", "HEALTHCHECK"];

function lineOf(node: Node, escapeChar: string, lifted: ReadonlyMap<number, readonly Heredoc[]>): SourceLine {
	const whole = node.getTextContent();
	const raw = node.getRawArgumentsContent() ?? "";
	const before = raw === "" ? whole : whole.slice(0, whole.indexOf(raw, node.getInstruction().length));
	// Flags may be continued on further lines too.
	const start = before.replace(/[\\`][ \t]*\r?\n(?:\s*#[^\n]*\n)*/g, "");
	const text = unmarked(`${start}${node.getArgumentsContent() ?? ""}`).trim();
	const keyword = node.getKeyword();
	const words = text.slice(node.getInstruction().length).trim();
	const line = node.getRange().start.line + 1;
	return {
		text,
		keyword,
		line,
		...(FLAGGED.includes(keyword) ? takeFlags(words, escapeChar) : { flags: [], rest: words }),
		heredocs: lifted.get(line) ?? [],
	};
}

function stageOf(line: SourceLine): Omit<Stage, "instructions"> {
	const fail = (message: string) =>
		new EngineError("invalid", `dockerfile parse error on line ${line.line}: ${message}`);
	const words = line.rest === "" ? [] : line.rest.split(/\s+/);
	const [base = "", as, name = ""] = words;
	const shaped = words.length === 1 || (words.length === 3 && as?.toLowerCase() === "as");
	if (!shaped) throw fail("FROM requires either one or three arguments");
	const lower = name.toLowerCase();
	if (words.length === 3 && !/^[a-z][a-z0-9-_.]*$/.test(lower)) {
		throw fail(
			`invalid name for build stage: ${JSON.stringify(name)}, name can't start with a number or contain symbols`,
		);
	}
	const odd = line.flags.find((flag) => flag.name !== "platform");
	if (odd) throw fail(`unknown flag: --${odd.name}`);
	const platform = line.flags[0]?.value;
	if (line.flags[0] && platform === undefined) throw fail("missing a value on flag: platform");
	return { text: line.text, line: line.line, base, name: lower, ...(platform && { platform }) };
}
