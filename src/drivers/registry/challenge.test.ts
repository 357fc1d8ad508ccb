import { expect, test } from "bun:test";
import { parseChallenges } from "./challenge.ts";

test("a bearer challenge is read with its quoted parameters", () => {
	const header = 'Bearer realm="https://auth.test/token",service="reg, one",scope="repository:a/b:pull,push"';
	expect(parseChallenges(header)).toEqual([
		{
			scheme: "bearer",
			parameters: { realm: "https://auth.test/token", service: "reg, one", scope: "repository:a/b:pull,push" },
		},
	]);
});

test("several challenges joined by commas stay apart", () => {
	const header = 'Negotiate, Basic realm="a \\"quoted\\" b", Bearer realm=https://t.test/, SERVICE="s"';
	expect(parseChallenges(header)).toEqual([
		{ scheme: "negotiate", parameters: {} },
		{ scheme: "basic", parameters: { realm: 'a "quoted" b' } },
		{ scheme: "bearer", parameters: { realm: "https://t.test/", service: "s" } },
	]);
});

test("what cannot be read ends the list; the first of a repeated parameter counts", () => {
	expect(parseChallenges("")).toEqual([]);
	expect(parseChallenges('realm="x"')).toEqual([]);
	expect(parseChallenges('Basic realm="open')).toEqual([{ scheme: "basic", parameters: {} }]);
	expect(parseChallenges('Bearer realm="a",realm="b"')[0]?.parameters.realm).toBe("a");
	const started = performance.now();
	parseChallenges(`Bearer ${"a=".repeat(1_000_000)}`);
	expect(performance.now() - started).toBeLessThan(200);
});
