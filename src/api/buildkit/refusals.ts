import { EngineError } from "../../shared/errors.ts";

/** Throws "unsupported". @param type of `--cache-to`; the build argument BUILDKIT_INLINE_CACHE asks for `inline` */
export function refuseCacheExport(type: string): never {
	throw new EngineError("unsupported", `cache export of type ${type} is not supported: steps are kept as images`);
}
