import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

// bun bench/startup.ts: how long `foredeck version` takes against a bare hello-world compiled the same way. The goal is less than 2x.

const binary = join(import.meta.dir, "../dist/foredeck");
const directory = mkdtempSync(join(tmpdir(), "foredeck-startup-"));
try {
	const source = join(directory, "hello.ts");
	const hello = join(directory, "hello");
	writeFileSync(source, 'console.log("hello world");\n');
	const flags = ["--compile", "--minify", "--bytecode", "--format=esm"];
	Bun.spawnSync([process.execPath, "build", ...flags, source, "--outfile", hello]);
	const argv = ["hyperfine", "-N", "--warmup", "10", "--runs", "100", `${binary} version`, hello];
	const { exitCode } = Bun.spawnSync(argv, { stdout: "inherit", stderr: "inherit" });
	process.exitCode = exitCode;
} finally {
	rmSync(directory, { recursive: true });
}
