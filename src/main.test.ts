import { expect, test } from "bun:test";
import { join } from "node:path";

function foredeck(...argv: string[]): { code: number; out: string; err: string } {
	const { exitCode, stdout, stderr } = Bun.spawnSync([process.execPath, join(import.meta.dir, "main.ts"), ...argv]);
	return { code: exitCode, out: stdout.toString(), err: stderr.toString() };
}

test("version prints one line", () => {
	const { code, out } = foredeck("version");
	expect(code).toBe(0);
	expect(out).toMatch(/^foredeck \S+ \(\S+\)\n$/);
	expect(foredeck("--version").out).toBe(out);
});

test("help lists the commands, but not those the engine runs itself", () => {
	const { code, out } = foredeck("help");
	expect(code).toBe(0);
	expect(out).toContain("daemon");
	expect(out).not.toContain("supervisor");
	expect(foredeck().out).toBe(out);
});

test("a wrong command line ends with 2 and says what is wrong", () => {
	expect(foredeck("strat")).toMatchObject({ code: 2, err: expect.stringContaining('unknown command "strat"') });
	expect(foredeck("daemon", "--dns", "1")).toMatchObject({ code: 2, err: expect.stringContaining('bad --dns "1"') });
	expect(foredeck("dns")).toMatchObject({ code: 2, err: expect.stringContaining("usage: foredeck dns") });
});

test("config print shows a flag's value as the daemon would use it", () => {
	const { code, out } = foredeck("config", "print", "--json", "--instance", "two");
	expect(code).toBe(0);
	expect(JSON.parse(out)["run-root"]).toEqual({ value: "/run/foredeck-two", source: "default" });
});
