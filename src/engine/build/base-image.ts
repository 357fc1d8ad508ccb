import { familiarString, parseReference, parseTagged } from "../../oci/reference.ts";
import { EngineError } from "../../shared/errors.ts";
import type { ImageRecord } from "../images/contract.ts";
import { credentialsFor } from "../images/credentials.ts";
import type { Build } from "./build-state.ts";
import type { BuildLine } from "./contract.ts";

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
	for await (const line of lines) {
		tellLayer(build, line);
		await build.output.line(line);
	}
	return images.resolve(shown);
}

/** A layer that is fetched, as a part of the step. */
function tellLayer({ now }: Build, { id, status, progressDetail }: BuildLine): void {
	if (typeof id !== "string" || typeof status !== "string") return;
	const { current = 0, total } = (progressDetail ?? {}) as { current?: number; total?: number };
	if (status === "Downloading" || status === "Extracting")
		now.step?.status(`${status.toLowerCase()} ${id}`, { current, total });
	if (status === "Pull complete") now.step?.status(`extracting ${id}`, { current, done: true });
	if (status === "Download complete") now.step?.status(`downloading ${id}`, { current, done: true });
}

/** Where docker's own registry is, by which clients know its credentials. */
function hostOf(domain: string): string {
	return domain === "docker.io" ? "registry-1.docker.io" : domain;
}

function isId(name: string): boolean {
	return /^sha256:[0-9a-f]{64}$/.test(name);
}
