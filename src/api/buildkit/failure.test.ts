import { expect, test } from "bun:test";
import { StepFailed } from "../../engine/build/command-failed.ts";
import { failureOf } from "./failure.ts";

function shownLines(text: string, line: number): { all: number; shown: string[]; end: unknown } {
	const { details } = failureOf(new StepFailed(new Error("x"), { name: "Dockerfile", text, line }));
	const { info, ranges } = JSON.parse(Buffer.from(details[0]?.value ?? []).toString());
	const lines = Buffer.from(info.data, "base64").toString().split("\n");
	return { all: lines.length, shown: lines.filter((one) => one !== ""), end: ranges[0].end };
}

test("a failed step has its Dockerfile with it, to the last line of the instruction", () => {
	expect(shownLines("FROM a\nRUN b \\\n  c\n", 2)).toEqual({
		all: 4,
		shown: ["FROM a", "RUN b \\", "  c"],
		end: { line: 3 },
	});
});

test("of a long Dockerfile what clients show is there, at its place", () => {
	const lines = Array.from({ length: 5000 }, (_, i) => `# ${i + 1}`);
	const { all, shown, end } = shownLines(lines.join("\n"), 3000);
	expect([all, end]).toEqual([5000, { line: 3000 }]);
	expect([shown.length, shown[0], shown.at(-1)]).toEqual([41, "# 2980", "# 3020"]);
});
