import { EngineError } from "../../shared/errors.ts";

/** The network of an id, a name or an unambiguous id prefix; "not-found" and "invalid" in docker's words. */
export function findNetwork<T extends { readonly id: string; readonly name: string }>(
	networks: readonly T[],
	ref: string,
): T {
	const exact = networks.find(({ id }) => id === ref) ?? networks.find(({ name }) => name === ref);
	if (exact) return exact;
	const byPrefix = ref === "" ? [] : networks.filter(({ id }) => id.startsWith(ref));
	if (byPrefix.length > 1) {
		throw new EngineError("invalid", `network ${ref} is ambiguous (${byPrefix.length} matches found on ID prefix)`);
	}
	const [only] = byPrefix;
	if (!only) throw new EngineError("not-found", `network ${ref} not found`);
	return only;
}
