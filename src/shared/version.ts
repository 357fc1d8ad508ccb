declare const FOREDECK_VERSION: string | undefined;
declare const FOREDECK_COMMIT: string | undefined;

/** Set by `scripts/build` from package.json; running from source says so. */
export const VERSION: string = typeof FOREDECK_VERSION === "string" ? FOREDECK_VERSION : "0.0.0-dev";

/** Short git revision of the build, with `-dirty` when the tree had changes; `unknown` without git. */
export const COMMIT: string = typeof FOREDECK_COMMIT === "string" ? FOREDECK_COMMIT : "unknown";
