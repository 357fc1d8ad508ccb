import { familiarString, parseReference, parseTagged } from "../../oci/reference.ts";
import { EngineError } from "../../shared/errors.ts";
import type { ImageRecord } from "../images/contract.ts";
import { credentialsFor } from "../images/credentials.ts";
import type { Build } from "./build-state.ts";

/** An image to stand on or to copy from: the one that is here, or the registry's. */
export async function baseImage(build: Build, name: string, platform: string | undefined): Promise<ImageRecord> {
	const { images } = build.parts;
	const wanted = platform ?? build.request.platform;
	const here = build.request.pull && !isId(name) ? undefined : findHere(build, name, wanted);
	const image = here ?? (await pull(build, name, wanted)) ?? images.resolve(name);
	build.inUse.add(image.id);
	return image;
}

function findHere(build: Build, name: string, platform: string | undefined): ImageRecord | undefined {
	const { images } = build.parts;
	try {
		const image = images.resolve(name);
		if (platform !== undefined) images.requirePlatform(name, platform);
		return image;
	} catch (error) {
		if (error instanceof EngineError && error.code === "not-found") return undefined;
		throw error;
	}
}

async function pull(build: Build, name: string, platform: string | undefined): Promise<ImageRecord | undefined> {
	const { images } = build.parts;
	const shown = familiarString(parseTagged(name));
	const { domain } = parseReference(name);
	const credentials =
		credentialsFor(build.request.credentials, domain) ??
		(await build.request.buildKit?.client.credentials(hostOf(domain)));
	const lines = images.pull(shown, { platform, credentials, signal: build.signal });
	for await (const line of lines) await build.output.line(line);
	return images.resolve(shown);
}

/** Where docker's own registry is, by which clients know its credentials. */
function hostOf(domain: string): string {
	return domain === "docker.io" ? "registry-1.docker.io" : domain;
}

function isId(name: string): boolean {
	return /^sha256:[0-9a-f]{64}$/.test(name);
}
