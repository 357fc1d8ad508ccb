import { makeImage } from "./lib/images.ts";

// bun lab/make-image.ts busybox OUT.tar
const [name, out] = process.argv.slice(2);
if (!name || !out) {
	console.error("usage: bun lab/make-image.ts busybox|hello OUT.tar");
	process.exit(2);
}
await makeImage(name, out);
