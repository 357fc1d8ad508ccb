import type { Instruction as Node } from "dockerfile-ast";
import { EngineError } from "../../shared/errors.ts";
import type { Dockerfile, Instruction, Stage } from "./instructions.ts";
import { parseInstruction, type SourceLine } from "./parse-instruction.ts";

/**
 * Reads a Dockerfile: dockerfile-ast finds instructions, continuations, comments, flags and heredocs; what they mean is said by
 * parse-instruction.ts. Throws "invalid" in docker's words.
 */
export async function parseDockerfile(text: string): Promise<Dockerfile> {
	const { escapeChar, lines } = await readLines(text);
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
	return { escapeChar, metaArgs, stages };
}

/** One instruction of its own: an ONBUILD trigger. */
export async function parseTrigger(text: string): Promise<Instruction> {
	const { escapeChar, lines } = await readLines(text);
	const [line, more] = lines;
	if (!line || more) throw new EngineError("invalid", "onbuild trigger should be a single expression");
	return parseInstruction(line, escapeChar);
}

async function readLines(text: string): Promise<{ escapeChar: string; lines: SourceLine[] }> {
	// Builds are rare: what reads Dockerfiles is loaded with the first one.
	const { DockerfileParser } = await import("dockerfile-ast");
	const dockerfile = DockerfileParser.parse(withoutComments(text.replace(/^\uFEFF/, "")));
	const escapeChar = dockerfile.getEscapeCharacter();
	return { escapeChar, lines: dockerfile.getInstructions().map(lineOf) };
}

/** Directives stay, which are comments at the top. dockerfile-ast takes some indented comments between continued lines for text. */
function withoutComments(text: string): string {
	const lines = text.split("\n");
	const first = lines.findIndex((line) => !/^\s*(#|$)/.test(line));
	return lines.map((line, i) => (i > first && /^\s*#/.test(line) ? "" : line)).join("\n");
}

/** What only some instructions have. */
interface Extras {
	getFlags?(): { getName(): string; getValue(): string | null }[];
	getHeredocs?(): unknown[];
}

function lineOf(node: Node): SourceLine {
	const extras = node as unknown as Extras;
	const whole = node.getTextContent();
	const raw = node.getRawArgumentsContent() ?? "";
	const heredoc = (extras.getHeredocs?.() ?? []).length > 0;
	const rest = (node.getArgumentsContent() ?? "").split("\n", heredoc ? 1 : undefined).join("\n");
	const before = raw === "" ? whole : whole.slice(0, whole.indexOf(raw, node.getInstruction().length));
	// Flags may be continued on further lines too.
	const start = before.replace(/[\\`][ \t]*\r?\n(?:\s*#[^\n]*\n)*/g, "");
	return {
		text: `${start}${rest}`.trim(),
		keyword: node.getKeyword(),
		rest: rest.trim(),
		line: node.getRange().start.line + 1,
		flags: (extras.getFlags?.() ?? []).map((flag) => ({ name: flag.getName(), value: flag.getValue() ?? undefined })),
		heredoc,
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
	return { text: line.text, line: line.line, base, name: lower, ...(platform && { platform }) };
}
