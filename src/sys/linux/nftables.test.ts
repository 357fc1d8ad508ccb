import { expect, test } from "bun:test";

const SCRIPT = `
	import { openSync } from "node:fs";
	import { Nftables } from ${JSON.stringify(new URL("./nftables.ts", import.meta.url).pathname)};
	new Nftables()[Symbol.dispose]();
	try { for (;;) openSync("/dev/null", "r"); } catch {}
	try { new Nftables(); } catch (error) { console.log(error.code); }
`;

test("a process that has no file descriptor left is told so, and lives", () => {
	const child = Bun.spawnSync(["prlimit", "--nofile=128:128", process.execPath, "-e", SCRIPT]);
	expect(child.stdout.toString()).toBe("EMFILE\n");
	expect(child.exitCode).toBe(0);
});
