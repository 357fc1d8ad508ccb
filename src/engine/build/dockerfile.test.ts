import { expect, test } from "bun:test";
import { parseDockerfile, parseTrigger } from "./dockerfile.ts";

const one = async (line: string) => {
	const { stages } = await parseDockerfile(`FROM x\n${line}`);
	return stages[0]?.instructions[0];
};

test("stages, their names and platforms, and arguments before them", async () => {
	const file = await parseDockerfile("ARG V=1\nFROM --platform=linux/arm64 a:$V AS Base\nRUN x\n\nFROM base\n# end");
	expect(file.metaArgs.map(({ pairs }) => pairs)).toEqual([[{ name: "V", value: "1" }]]);
	expect(file.stages.map(({ base, name, platform }) => [base, name, platform])).toEqual([
		["a:$V", "base", "linux/arm64"],
		["base", "", undefined],
	]);
	expect(file.stages[0]?.text).toBe("FROM --platform=linux/arm64 a:$V AS Base");
});

test("lines go on after the escape character; comments and empty lines between do not count", async () => {
	expect(await one("RUN echo $X;   \\\n   # comment\n\n  echo b")).toMatchObject({
		text: "RUN echo $X;     echo b",
		line: 2,
		command: { shell: true, words: ["echo $X;     echo b"] },
	});
	const file = await parseDockerfile("# escape=`\nFROM x\nRUN a `\n b\\");
	expect([file.escapeChar, file.stages[0]?.instructions[0]?.text]).toEqual(["`", "RUN a  b\\"]);
});

test.each([
	['CMD ["a", "b c"]', { do: "CMD", command: { shell: false, words: ["a", "b c"] } }],
	['CMD ["a", b]', { do: "CMD", command: { shell: true, words: ['["a", b]'] } }],
	["ENV a b c", { pairs: [{ name: "a", value: "b c" }] }],
	[
		'ENV a=b c="d e"',
		{
			pairs: [
				{ name: "a", value: "b" },
				{ name: "c", value: '"d e"' },
			],
		},
	],
	["ARG a b=c", { do: "ARG", pairs: [{ name: "a" }, { name: "b", value: "c" }] }],
	["EXPOSE 90 80/udp", { values: ["80/udp", "90"] }],
	["VOLUME /a /b", { values: ["/a", "/b"] }],
	['VOLUME ["/a b"]', { values: ["/a b"] }],
	["copy --from=s --chown=1:2 a b c/", { sources: ["a", "b"], destination: "c/", from: "s", chown: "1:2" }],
	['ADD ["a b", "c"]', { do: "ADD", sources: ["a b"], destination: "c" }],
	["COPY --chmod=755 --link --parents a b", { chmod: "755", parents: true, sources: ["a"], destination: "b" }],
	["COPY --link=false --exclude=*.md --exclude=x a b", { exclude: ["*.md", "x"] }],
	[
		"ADD --checksum=sha256:1 --keep-git-dir --unpack=false u /",
		{ checksum: "sha256:1", keepGitDir: true, unpack: false },
	],
	["COPY <<E /x\nhi\nE", { sources: [], contents: [{ name: "E", content: "hi\n", expand: true, chomp: false }] }],
	[
		"COPY <<-'E' f <<G /x/\n\thi\n\tE\nyou\nG",
		{
			sources: ["f"],
			contents: [
				{ name: "E", expand: false, chomp: true },
				{ name: "G", content: "you\n" },
			],
		},
	],
	['COPY ["<<E", "/x"]', { sources: ["<<E"], contents: [] }],
	[
		"RUN <<E\n# no comment\nFROM nobody\nx \\\nE",
		{ command: { words: ["<<E"] }, heredocs: [{ content: "# no comment\nFROM nobody\nx \\\n" }] },
	],
	[
		"RUN cat <<A \\\n  && cat <<B\n1\nA\n2\nB",
		{ command: { words: ["cat <<A   && cat <<B"] }, heredocs: [{ content: "1\n" }, { content: "2\n" }] },
	],
	["RUN echo $((1<<2)) <<<x", { command: { words: ["echo $((1<<2)) <<<x"] }, heredocs: [] }],
	["ONBUILD RUN <<E\nhi\nE", { do: "ONBUILD", value: "RUN <<E\nhi\nE" }],
	[
		"RUN --mount=type=cache,target=/x --network=none \\\n  --mount=source='a b',target=/y z",
		{ mounts: ["type=cache,target=/x", "source=a b,target=/y"], network: "none", command: { words: ["z"] } },
	],
	["ONBUILD COPY . /x", { value: "COPY . /x" }],
	["HEALTHCHECK NONE", { check: { Test: ["NONE"] } }],
	[
		"HEALTHCHECK --interval=1m30s --retries=3 CMD a b",
		{ check: { Test: ["CMD-SHELL", "a b"], Interval: 90e9, Retries: 3 } },
	],
	['HEALTHCHECK CMD ["a"]', { check: { Test: ["CMD", "a"] } }],
	["WORKDIR /a b", { value: "/a b" }],
])("%p is read", async (line, meaning) => {
	expect((await one(line)) as object).toMatchObject(meaning);
});

test.each([
	["FOO bar", "dockerfile parse error on line 2: unknown instruction: FOO (did you mean FROM?)"],
	["FROMAGE x", "dockerfile parse error on line 2: unknown instruction: FROMAGE"],
	["ENV a", "failed to parse Dockerfile: ENV must have two arguments"],
	["ENV a=b c", `failed to parse Dockerfile: Syntax error - can't find = in "c". Must be of the form: name=value`],
	["COPY a", "COPY requires at least two arguments, but only one was provided. Destination could not be determined"],
	["RUN --foo=1 x", "dockerfile parse error on line 2: unknown flag: --foo"],
	["COPY --from=a --from=b c d", "duplicate flag specified: from"],
	["SHELL sh", "SHELL requires the arguments to be in JSON form"],
	["ONBUILD FROM x", "FROM isn't allowed as an ONBUILD trigger"],
	["ONBUILD ONBUILD RUN x", "Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed"],
	["HEALTHCHECK --interval=1 CMD x", 'time: missing unit in duration "1"'],
	["HEALTHCHECK NONE x", "HEALTHCHECK NONE takes no arguments"],
	["HEALTHCHECK X", 'Unknown type "X" in HEALTHCHECK (try CMD)'],
	["FROM a b", "FROM requires either one or three arguments"],
	["FROM a AS 1x", `invalid name for build stage: "1x", name can't start with a number or contain symbols`],
	["USER", "USER requires exactly one argument"],
	["RUN <<E\nx", "dockerfile parse error on line 2: unterminated heredoc"],
	["COPY a <<E\nx\nE", "COPY cannot accept a heredoc as a destination"],
	["RUN --security=insecure x", "--security=insecure is not allowed"],
	["RUN --network=bridge x", 'invalid network mode "bridge"'],
	["RUN --device=x y", "--device is not supported"],
	["COPY --link=maybe a b", "expecting boolean value for flag link, not: maybe"],
])("%p is refused in docker's words", async (line, text) => {
	expect(one(line)).rejects.toThrow(text);
});

test("a file without a stage is refused", async () => {
	expect(parseDockerfile("# nothing")).rejects.toThrow("file with no instructions");
	expect(parseDockerfile("RUN a\nFROM x")).rejects.toThrow("no build stage in current context");
	expect(parseDockerfile("ARG a")).rejects.toThrow("no build stage in current context");
});

test("a trigger is one instruction", async () => {
	expect(await parseTrigger("COPY --chown=1 a b")).toMatchObject({ do: "COPY", chown: "1", destination: "b" });
	expect(parseTrigger("RUN a\nRUN b")).rejects.toThrow("onbuild trigger should be a single expression");
});

test("directives stand at the very top, each once", async () => {
	const read = async (text: string) => {
		const { syntax, escapeChar } = await parseDockerfile(text);
		return [syntax, escapeChar];
	};
	expect(await read("# syntax=docker/dockerfile:1\n# Escape = `\nFROM x")).toEqual(["docker/dockerfile:1", "`"]);
	expect(await read("#check=skip=all\nFROM x")).toEqual([undefined, "\\"]);
	expect(await read("# comment\n# escape=`\nFROM x")).toEqual([undefined, "\\"]);
	expect(parseDockerfile("# escape=x\nFROM x")).rejects.toThrow("invalid escape token 'x'");
	expect(parseDockerfile("# escape=`\n# escape=`\nFROM x")).rejects.toThrow("only one escape parser directive");
});
