import { existsSync } from "node:fs";

/** How this program starts itself, to which a command is added: compiled, argv[0] of the process is the executable; from source, bun and the entry. */
export function selfCommand(): [string, ...string[]] {
	const entry = process.argv[1];
	const fromSource = entry !== undefined && !entry.startsWith("/$bunfs/") && existsSync(entry);
	return fromSource ? [process.execPath, entry] : [process.execPath];
}
