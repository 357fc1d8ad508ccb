import { expect, test } from "bun:test";
import { type GlobStep, globMatcher } from "./glob.ts";

const STAR: GlobStep = { many: "[^/]" };
const letters = (text: string): GlobStep[] => [...text].map((one) => ({ one }));

/** A matcher that follows the steps one by one: the star more in front changes nothing but that there are many. */
const MANY: readonly GlobStep[] = [{ many: "\u0000" }, { many: "\u0000" }, { many: "\u0000" }];

test("few steps of any length and many match the same", () => {
	const patterns: GlobStep[][] = [
		[STAR, ...letters("b")],
		["directories", ...letters("b")],
		[...letters("a"), STAR, ...letters("/"), { one: "[^c]" }],
		[{ many: "." }],
		["directories", STAR, ...letters("b")],
		[],
	];
	const texts = ["", "b", "ab", "a/b", "a/c", "x/y/b", "x/yb", "/b", "a😀/d", "a\nb"];
	for (const steps of patterns) {
		const few = globMatcher(steps);
		const many = globMatcher([...MANY, ...steps]);
		expect(texts.map((text) => many?.(text))).toEqual(texts.map((text) => few?.(text)));
	}
	expect(globMatcher(["directories", ...letters("b")])?.("x/y/b")).toBe(true);
	expect(globMatcher(["directories", ...letters("b")])?.("x/yb")).toBe(false);
});

test("a pattern of many stars takes no longer than others", () => {
	const steps = Array.from({ length: 30 }, () => [STAR, ...letters("a")]).flat();
	const started = performance.now();
	expect(globMatcher([...steps, ...letters("b")])?.("a".repeat(250))).toBe(false);
	expect(globMatcher(steps)?.("a".repeat(250))).toBe(true);
	expect(performance.now() - started).toBeLessThan(1000);
});

test("what is no class of characters matches nothing", () => {
	expect(globMatcher([{ one: "[z-a]" }])).toBeUndefined();
});
