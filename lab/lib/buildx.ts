import { existsSync, mkdirSync, symlinkSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { CACHE } from "./debian-packages.ts";

const PLUGIN = "docker-buildx";

/** Where the plugin of the docker CLI may be: brought for tests, the user's own, or a package's. */
const PLACES = [
	`${CACHE}/buildx`,
	join(homedir(), ".docker/cli-plugins"),
	"/usr/libexec/docker/cli-plugins",
	"/usr/lib/docker/cli-plugins",
	"/usr/local/lib/docker/cli-plugins",
];

/** Lets a docker CLI with a configuration of its own build with BuildKit. Throws when the machine has no buildx. */
export function linkBuildx(configDirectory: string): void {
	const found = PLACES.map((place) => join(place, PLUGIN)).find((path) => existsSync(path));
	if (!found) throw new Error(`${PLUGIN} is in none of ${PLACES.join(", ")}: install Docker's buildx plugin`);
	const plugins = join(configDirectory, "cli-plugins");
	mkdirSync(plugins, { recursive: true });
	if (!existsSync(join(plugins, PLUGIN))) symlinkSync(found, join(plugins, PLUGIN));
}
