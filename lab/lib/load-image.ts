import { join } from "node:path";
import { equal, includes } from "./assert.ts";
import type { Lab } from "./scenario.ts";

/** Makes one of the lab's images (`busybox`, `hello`) from this machine's packages and loads it as `NAME:latest`. */
export async function loadImage({ docker, directory }: Lab, image: string): Promise<void> {
	const tar = join(directory, `${image}.tar`);
	const made = Bun.spawnSync([process.execPath, join(import.meta.dir, "../make-image.ts"), image, tar]);
	equal(made.exitCode, 0, `making image ${image} (${made.stderr})`);
	includes(await docker("load", "-i", tar), `Loaded image: ${image}:latest`, "docker load");
}
