declare const FOREDECK_VERSION: string | undefined;
declare const FOREDECK_COMMIT: string | undefined;
declare const FOREDECK_BUILD_TIME: string | undefined;

/** Set by `scripts/build` from package.json; running from source says so. */
export const VERSION: string = typeof FOREDECK_VERSION === "string" ? FOREDECK_VERSION : "0.0.0-dev";

/** Short git revision of the build, with `-dirty` when the tree had changes; `unknown` without git. */
export const COMMIT: string = typeof FOREDECK_COMMIT === "string" ? FOREDECK_COMMIT : "unknown";

/** RFC 3339, of the commit that was built, so that builds can be repeated byte for byte; empty without git and when run from source. */
export const BUILD_TIME: string = typeof FOREDECK_BUILD_TIME === "string" ? FOREDECK_BUILD_TIME : "";
