import type { RegistryOptions } from "../../drivers/registry/driver.ts";
import { parseImageConfig } from "../../oci/image-config.ts";
import { type Descriptor, isIndexType, type Platform, parseManifestOrIndex } from "../../oci/manifest.ts";
import { parseTagged } from "../../oci/reference.ts";
import { EngineError } from "../../shared/errors.ts";
import type { Context } from "./context.ts";
import type { FoundRepository, SearchOptions } from "./contract.ts";
import { fetchConfig } from "./pull.ts";

/** Contract: Images.describe. */
export async function describeImage(
	context: Context,
	name: string,
	options: RegistryOptions,
): Promise<{ descriptor: Descriptor; platforms: readonly Platform[] }> {
	const reference = parseTagged(name);
	// The registry's own words tell what is not there.
	const descriptor = await context.registry.describe(reference, options);
	const top = await context.registry.manifest({ ...reference, tag: undefined, digest: descriptor.digest }, options);
	const value = parseManifestOrIndex(new TextDecoder().decode(top.bytes), name);
	if ("manifests" in value || isIndexType(top.mediaType)) {
		const entries = "manifests" in value ? value.manifests : [];
		return { descriptor, platforms: entries.flatMap(({ platform }) => platform ?? []) };
	}
	const { os, architecture, variant } = parseImageConfig(
		await fetchConfig(context.registry, reference, value.config, options),
	);
	return { descriptor, platforms: [{ os, architecture, ...(variant ? { variant } : {}) }] };
}

/** Contract: Images.search. `term` may begin with a registry's host, as docker has it. */
export async function searchImages(context: Context, term: string, asked: SearchOptions): Promise<FoundRepository[]> {
	if (term.trim() === "") throw new EngineError("invalid", "invalid search term: it is empty");
	if (term.includes("://"))
		throw new EngineError("invalid", `invalid search term ${term}: must not begin with a scheme`);
	const found = await context.registry.search(term, asked.limit, asked);
	const { stars = 0, official, automated } = asked.filters;
	return found.filter(
		(one) =>
			one.starCount >= stars &&
			(official === undefined || one.isOfficial === official) &&
			(automated === undefined || one.isAutomated === automated),
	);
}
