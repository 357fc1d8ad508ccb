import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import tar from "tar-stream";
import { equal } from "../../lib/assert.ts";
import type { Lab } from "../../lib/scenario.ts";

/** Of a hostile image: a link by what it leads to, `null` a directory, other texts behind `=` a file. */
export type Entries = Readonly<Record<string, string | null>>;

const COMMANDS = ["sh", "ls", "cat", "grep", "touch", "stat", "mkdir", "ln", "rm", "sleep", "true"];

/** A tar of these entries, in their order. */
export async function tarOf(entries: Entries, busybox = false): Promise<Buffer> {
	const pack = tar.pack();
	if (busybox) {
		pack.entry({ name: "bin/busybox", mode: 0o755 }, readFileSync("/bin/busybox"));
		for (const name of COMMANDS) pack.entry({ name: `bin/${name}`, type: "symlink", linkname: "busybox" });
	}
	for (const [name, content] of Object.entries(entries)) {
		if (content === null) pack.entry({ name, type: "directory", mode: 0o755 });
		else if (content.startsWith("=")) pack.entry({ name }, content.slice(1));
		else if (content.startsWith("hard:")) pack.entry({ name, type: "link", linkname: content.slice(5) });
		else pack.entry({ name, type: "symlink", linkname: content });
	}
	pack.finalize();
	return Buffer.concat(await Array.fromAsync(pack as AsyncIterable<Buffer>));
}

/** Imports it as an image with busybox in it. */
export async function importImage({ docker }: Lab, name: string, entries: Entries): Promise<void> {
	const { code, stderr } = await docker.run(["import", "-", name], { stdin: await tarOf(entries, true) });
	equal(code, 0, `docker import of ${name} (${stderr})`);
}

/** A directory of the host that attacks aim at: nothing in it may change, and its secret may not be read. */
export class Target {
	readonly path: string;
	/** What leads to it from inside an image, and is there too: a runtime that follows links on the host goes astray with success. */
	readonly inImage: Entries;

	constructor({ directory }: Lab) {
		this.path = join(directory, "target");
		rmSync(this.path, { recursive: true, force: true });
		mkdirSync(join(this.path, "dir"), { recursive: true });
		writeFileSync(join(this.path, "file"), "secret\n", { mode: 0o600 });
		const parents = this.path.split("/").slice(1);
		const directories = parents.map((_, i) => [parents.slice(0, i + 1).join("/"), null] as const);
		this.inImage = Object.fromEntries([...directories, [`${parents.join("/")}/dir`, null]]);
	}

	check(what: string): void {
		const found = Bun.spawnSync(["find", this.path, "-mindepth", "1", "-printf", "%P %y %m %U %n\n"]).stdout.toString();
		const sorted = found.trim().split("\n").toSorted().join("; ");
		equal(sorted, "dir d 755 0 2; file f 600 0 1", `${what}: the host's files`);
		equal(readFileSync(join(this.path, "file"), "utf8"), "secret\n", `${what}: the host's file`);
		equal(readdirSync(join(this.path, "dir")), [], `${what}: the host's directory`);
	}
}
