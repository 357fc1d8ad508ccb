import type { Credentials } from "../../drivers/registry/driver.ts";
import { familiarString, parseReference, parseTagged } from "../../oci/reference.ts";
import { EngineError } from "../../shared/errors.ts";
import type { ImageRecord } from "../images/contract.ts";
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
	const lines = images.pull(shown, { platform, credentials: credentialsFor(build, name), signal: build.signal });
	for await (const line of lines) await build.output.line(line);
	return images.resolve(shown);
}

/** Docker's configuration file names its own registry by a URL. */
function credentialsFor(build: Build, name: string): Credentials | undefined {
	const { credentials } = build.request;
	const { domain } = parseReference(name);
	const keys = domain === "docker.io" ? ["https://index.docker.io/v1/", "docker.io", "index.docker.io"] : [domain];
	const found = keys.flatMap((key) => [
		key,
		`https://${key}`,
		`http://${key}`,
		`https://${key}/v1/`,
		`https://${key}/v2/`,
	]);
	return found.map((key) => credentials[key]).find((one) => one !== undefined);
}

function isId(name: string): boolean {
	return /^sha256:[0-9a-f]{64}$/.test(name);
}
