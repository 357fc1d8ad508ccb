import { expect, test } from "bun:test";
import { BuildArgs } from "./build-args.ts";

test("what the client gives wins over defaults; the image's variables win over both", () => {
	const args = new BuildArgs(new Map([["a", "given"]]));
	args.declare("a", "default");
	args.declare("b", "default");
	args.declare("c", undefined);
	expect(args.visible([])).toEqual(["a=given", "b=default"]);
	expect(args.visible(["a=image"])).toEqual(["b=default"]);
});

test("an argument before the first FROM is seen there, and in a stage that declares it", () => {
	const first = new BuildArgs(new Map([["v", "2"]]));
	first.declareMeta("v", "1");
	first.declareMeta("w", "3");
	const stage = first.nextStage();
	expect([stage.metaValue("v"), stage.metaValue("w"), stage.visible([])]).toEqual(["2", "3", []]);
	stage.declare("w", undefined);
	expect(stage.visible([])).toEqual(["w=3"]);
	expect(first.nextStage().visible([])).toEqual([]);
});

test("a proxy needs no declaration and does not count", () => {
	const args = new BuildArgs(new Map([["http_proxy", "p"]]));
	expect([args.visible([]), args.counts("http_proxy"), args.unused()]).toEqual([["http_proxy=p"], false, []]);
	args.declare("http_proxy", undefined);
	expect(args.counts("http_proxy")).toBe(true);
});

test("those that nothing declared are told, sorted", () => {
	const args = new BuildArgs(
		new Map<string, string | null>([
			["z", "1"],
			["b", null],
			["used", "1"],
		]),
	);
	args.nextStage().declare("used", undefined);
	expect(args.unused()).toEqual(["b", "z"]);
});
