import { openingOf } from "./heredocs.ts";
import type { CopyInstruction } from "./instructions.ts";
import type { Fail, SourceLine } from "./parse-instruction.ts";

/** COPY and ADD: sources, of which some may be here-documents, and where they go. Throws what `fail` makes. */
export function copyOf(
	line: SourceLine,
	keyword: "COPY" | "ADD",
	words: readonly string[],
	fail: Fail,
): CopyInstruction {
	const destination = words.at(-1) ?? "";
	if (words.length < 2) {
		throw fail(
			`${keyword} requires at least two arguments, but only one was provided. Destination could not be determined`,
		);
	}
	if (line.heredocs.length > 0 && openingOf(destination))
		throw fail(`${keyword} cannot accept a heredoc as a destination`);
	const flag = (name: string) => line.flags.find((one) => one.name === name)?.value;
	const isSet = (name: string) => {
		const found = line.flags.find((one) => one.name === name);
		return found && (found.value === undefined || found.value.toLowerCase() === "true");
	};
	const unpack = isSet("unpack");
	return {
		do: keyword,
		text: line.text,
		line: line.line,
		sources: words.slice(0, -1).filter((word) => line.heredocs.length === 0 || !openingOf(word)),
		contents: line.heredocs,
		destination,
		chown: flag("chown"),
		chmod: flag("chmod"),
		from: flag("from"),
		parents: isSet("parents") ?? false,
		exclude: line.flags.flatMap(({ name, value }) => (name === "exclude" && value !== undefined ? [value] : [])),
		checksum: flag("checksum"),
		keepGitDir: isSet("keep-git-dir") ?? false,
		...(unpack !== undefined && { unpack }),
	};
}
