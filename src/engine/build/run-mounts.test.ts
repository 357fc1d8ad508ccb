import { afterEach, beforeEach, expect, test } from "bun:test";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { EngineError } from "../../shared/errors.ts";
import type { Build, StageState } from "./build-state.ts";
import { CacheMounts } from "./cache-mounts.ts";
import { parseRunMount } from "./run-mount.ts";
import { prepareMounts } from "./run-mounts.ts";

let root = "";
let caches: CacheMounts;
beforeEach(() => {
	root = mkdtempSync(join(tmpdir(), "run-mounts-"));
	caches = new CacheMounts(root, (path) => rm(path, { recursive: true, force: true }));
});
afterEach(() => rmSync(root, { recursive: true }));

/** The mounts of one command, once they are there; they are taken away at once. */
async function mounted(...texts: string[]): Promise<string[]> {
	const build = {
		parts: { mounts: { release: () => {} }, caches },
		request: { buildArgs: new Map() },
		signal: AbortSignal.timeout(4000),
	} as unknown as Build;
	const state = { run: { WorkingDir: "/w" } } as unknown as StageState;
	const asked = texts.map((text) => parseRunMount(text, (why) => new EngineError("invalid", why)));
	using made = await prepareMounts(build, state, asked, "x");
	await Bun.sleep(5);
	return made.mounts.map(({ Source = "", Target = "" }) => `${Target} ${Source}`);
}

const locked = (target: string) => `type=cache,target=${target},sharing=locked`;

test("commands that lock the same caches in another order do not wait for each other", async () => {
	const [one, other] = await Promise.all([mounted(locked("/a"), locked("/b")), mounted(locked("/b"), locked("/a"))]);
	expect(one).toEqual(other);
	expect(readdirSync(root)).toHaveLength(2);
});

test("a command that mounts one cache twice does not wait for itself", async () => {
	const mounts = await mounted(`${locked("/a")},id=x`, `${locked("b")},id=x`);
	const [first, second] = mounts.map((one) => one.split(" "));
	expect([first?.[0], second?.[0]]).toEqual(["/a", "/w/b"]);
	expect(first?.[1]).toBe(second?.[1]);
});
