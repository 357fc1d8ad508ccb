import { expect, test } from "bun:test";
import { cacheKeyOf, commentOf, setEnv, startConfig, wordsOf } from "./run-config.ts";

const run = startConfig({ Env: ["A=1"], Labels: { x: "1", y: "2" } });

test("a stage begins with a copy of its image's configuration, and a PATH", () => {
	const Env = ["PATH=/p"];
	const started = startConfig({ Env });
	started.Env.push("B=2");
	expect([Env, startConfig(undefined).Env[0]?.startsWith("PATH=/usr/local/sbin:")]).toEqual([["PATH=/p"], true]);
});

test("shell form is given to the shell, exec form is not", () => {
	expect(wordsOf(run, { shell: true, words: ["a b"] })).toEqual(["/bin/sh", "-c", "a b"]);
	expect(wordsOf({ ...run, Shell: ["x"] }, { shell: true, words: ["a b"] })).toEqual(["x", "a b"]);
	expect(wordsOf(run, { shell: false, words: ["a", "b"] })).toEqual(["a", "b"]);
});

test("the history's line is docker's, blanks and all", () => {
	expect(commentOf(run, "ENV a=b").join(" ")).toBe("/bin/sh -c #(nop)  ENV a=b");
	expect(commentOf(run, "WORKDIR /x", true).join(" ")).toBe("/bin/sh -c #(nop) WORKDIR /x");
});

test("a key changes with the command, the configuration and the platform, not with the order of labels", () => {
	const key = cacheKeyOf(run, ["a"], "linux/amd64/");
	expect(cacheKeyOf({ ...run, Labels: { y: "2", x: "1" } }, ["a"], "linux/amd64/")).toBe(key);
	const others = [
		cacheKeyOf(run, ["b"], "linux/amd64/"),
		cacheKeyOf(run, ["a"], "linux/arm64/"),
		cacheKeyOf({ ...run, User: "u" }, ["a"], "linux/amd64/"),
		cacheKeyOf({ ...run, Env: [...run.Env, "B=1"] }, ["a"], "linux/amd64/"),
		cacheKeyOf({ ...run, Labels: { x: "1" } }, ["a"], "linux/amd64/"),
		cacheKeyOf({ ...run, Cmd: ["c"] }, ["a"], "linux/amd64/"),
	];
	expect(new Set([key, ...others]).size).toBe(7);
});

test("a variable keeps its place when it is set again", () => {
	expect(setEnv(["A=1", "B=2"], "A", "3")).toEqual(["A=3", "B=2"]);
	expect(setEnv(["A=1"], "AB", "3")).toEqual(["A=1", "AB=3"]);
});
