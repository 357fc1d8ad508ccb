import { afterAll, beforeAll, expect, test } from "bun:test";
import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";

const project = join(import.meta.dir, "../..");

/** Folder of the importing file, the import, and whether the linter must refuse it. */
const cases: [string, string, boolean][] = [
	["src/api", 'import type { A } from "../drivers/runtime/driver.ts";', true],
	["src/api", 'export { a } from "../dns/server.ts";', true],
	["src/cli", 'import { a } from "../engine/errors.ts";', true],
	["src/cli", 'import type { A } from "../api/stream.ts";', true],
	["src/dns", 'import type { A } from "../daemon/options.ts";', true],
	["src/engine", 'import type { A } from "../sys/linux/libc.ts";', true],
	["src/engine", 'const a = await import("../api/errors.ts");', true],
	["src/engine/containers", 'import type { A } from "../../drivers/runtime/supervisor/client.ts";', true],
	["src/drivers/runtime", 'import type { A } from "../network/driver.ts";', true],
	["src/drivers/runtime/deep", 'import type { A } from "../../network/driver.ts";', true],
	["src/drivers/runtime", 'import type { A } from "../../engine/events.ts";', true],
	["src/store", 'import type { A } from "../engine/containers/record.ts";', true],
	["src/oci", 'import type { A } from "../sys/linux/libc.ts";', true],
	["src/sys/linux", 'import type { A } from "../../oci/image.ts";', true],
	["src/shared", 'import type { A } from "../oci/image.ts";', true],
	["src/api", 'import type { A } from "../engine/events.ts";', false],
	["src/cli", 'import type { A } from "../api/containers/schema.ts";', false],
	["src/engine", 'import type { A } from "../drivers/runtime/driver.ts";', false],
	["src/engine", 'import type { A } from "../drivers/firewall/ruleset.ts";', false],
	["src/drivers/runtime/deep", 'import type { A } from "../driver.ts";', false],
	["src/daemon", 'import type { A } from "../drivers/network/bridge.ts";', false],
];

let directory: string;
let report: string;

/** One linter run over a tree that holds a file per case. */
beforeAll(() => {
	directory = mkdtempSync(join(tmpdir(), "foredeck-import-rules-"));
	cpSync(join(project, "biome.json"), join(directory, "biome.json"));
	cases.forEach(([folder, line], i) => {
		const path = join(directory, folder, `case-${i}.ts`);
		mkdirSync(dirname(path), { recursive: true });
		writeFileSync(path, `${line}\n`);
	});
	const biome = join(project, "node_modules/.bin/biome");
	const argv = [biome, "lint", "--only=style/noRestrictedImports", "--max-diagnostics=200", "src"];
	const { stdout, stderr } = Bun.spawnSync(argv, { cwd: directory });
	report = `${stdout}${stderr}`;
});
afterAll(() => rmSync(directory, { recursive: true, force: true }));

cases.forEach(([folder, line, refused], i) => {
	test(`${folder} ${refused ? "may not" : "may"} have: ${line}`, () => {
		expect(report.includes(`case-${i}.ts:`)).toBe(refused);
	});
});
