declare const FOREDECK_VERSION: string | undefined;

/**
 * What `new Worker()` needs for an entry file, given from the project's root (`src/oci/hash-worker.ts`). In the compiled binary entries keep
 * that path, and `new URL("./x-worker.ts", import.meta.url)` finds nothing there; from source it is the file's URL.
 */
export function workerEntry(path: string): string {
	return typeof FOREDECK_VERSION === "string" ? `./${path}` : new URL(`../../${path}`, import.meta.url).href;
}
