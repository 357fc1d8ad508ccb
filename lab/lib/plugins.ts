import { existsSync, mkdirSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { CACHE } from "./debian-packages.ts";

/** Gives the docker CLI of this configuration a plugin that `scripts/lib/cli-plugin` has brought. */
export function linkPlugin(configDirectory: string, name: "compose" | "buildx"): void {
	const plugin = join(CACHE, name, `docker-${name}`);
	if (!existsSync(plugin)) throw new Error(`${plugin} is missing: run scripts/lib/cli-plugin ${name} first`);
	const plugins = join(configDirectory, "cli-plugins");
	mkdirSync(plugins, { recursive: true });
	if (!existsSync(join(plugins, `docker-${name}`))) symlinkSync(plugin, join(plugins, `docker-${name}`));
}
