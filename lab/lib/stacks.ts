import { cpSync } from "node:fs";
import { join } from "node:path";
import { BASE, STACK_IMAGES, type StackImage } from "../images/recipes.ts";
import { equal, includes } from "./assert.ts";
import type { Compose } from "./compose.ts";
import { packageImage } from "./package-image.ts";
import type { Lab } from "./scenario.ts";

/** Loads images that stacks run; those that `prepare-stacks.ts` did not make yet are made. */
export async function loadStackImages({ docker }: Lab, ...names: StackImage[]): Promise<void> {
	for (const name of names) {
		const image = STACK_IMAGES[name];
		includes(await docker("load", "-i", await packageImage(image, BASE)), `Loaded image: ${image.config.tag}`, "load");
	}
}

/** Copies a scenario's `stack/` into the lab's directory, so that what a step changes there stays out of the project; the copy's path. */
export function copyStack({ directory }: Lab, scenario: string): string {
	const copy = join(directory, "stack");
	cpSync(join(scenario, "stack"), copy, { recursive: true });
	return copy;
}

/** HTTP at the port that Compose published for a service's port; the body is read. */
export async function request(
	compose: Compose,
	[service, port]: readonly [string, number],
	path: string,
	init: BunFetchRequestInit = {},
): Promise<{ status: number; body: string; headers: Headers }> {
	const address = (await compose("port", service, String(port))).split("\n")[0] ?? "";
	return await fetchText(`http://${address}${path}`, init);
}

export async function fetchText(url: string, init: BunFetchRequestInit = {}) {
	const response = await fetch(url, { signal: AbortSignal.timeout(10_000), redirect: "manual", ...init });
	return { status: response.status, body: await response.text(), headers: response.headers };
}

/** Fails unless the project has left no container, network or volume. */
export async function nothingLeft({ docker }: Lab, project: string): Promise<void> {
	const label = ["--filter", `label=com.docker.compose.project=${project}`];
	equal(await docker("ps", "-aq", ...label), "", "containers left");
	equal(await docker("network", "ls", "-q", ...label), "", "networks left");
	equal(await docker("volume", "ls", "-q", ...label), "", "volumes left");
}
