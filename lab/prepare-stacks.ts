import { BASE, STACK_IMAGES } from "./images/recipes.ts";
import { packageImage } from "./lib/package-image.ts";

// bun lab/prepare-stacks.ts: makes the images of the Compose stacks (see images/recipes.ts) where the cache does not have them yet.

const begin = performance.now();
for (const image of Object.values(STACK_IMAGES)) {
	const path = await packageImage(image, BASE);
	const seconds = ((performance.now() - begin) / 1000).toFixed(1);
	console.log(`${image.config.tag}: ${Math.round(Bun.file(path).size / 1e6)} MB, after ${seconds} s`);
}
