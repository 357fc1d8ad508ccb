import { mkdirSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import type { Lab } from "./scenario.ts";

/** Writes files of a context of its own below the scenario's directory; the context's path. */
export function context(lab: Lab, name: string, files: Readonly<Record<string, string>>): string {
	const root = `${lab.directory}/${name}`;
	for (const [path, content] of Object.entries(files)) {
		mkdirSync(dirname(`${root}/${path}`), { recursive: true });
		writeFileSync(`${root}/${path}`, content);
	}
	return root;
}
