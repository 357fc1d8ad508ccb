declare const FOREDECK_VERSION: string | undefined;

/** Where `bun build --compile` keeps the entry points, by their path below the folder they have in common (src). */
const EMBEDDED = "/$bunfs/root/";

/**
 * What `new Worker()` needs for an entry file, given from the project's root (`src/oci/hash-worker.ts`). In the compiled binary
 * `new URL("./x-worker.ts", import.meta.url)` finds nothing; from source it is the file's URL.
 */
export function workerEntry(path: string): string {
	const compiled = typeof FOREDECK_VERSION === "string";
	if (!compiled) return new URL(`../../${path}`, import.meta.url).href;
	return EMBEDDED + path.replace(/^src\//, "").replace(/\.ts$/, ".js");
}
