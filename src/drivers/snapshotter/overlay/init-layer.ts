import * as fs from "node:fs";
import { join } from "node:path";

/**
 * Below the root: a layer over every image, as docker has one. Programs look for its `.dockerenv` to learn that they run in a container. What the
 * runtime mounts on is a directory or a file in it, whatever the image has there: a link would lead to nothing, or hide behind what is mounted where
 * it leads, or lead the runtime out of the container (CVE-2026-41579, -47766). Source: moby daemon/initlayer/setup_unix.go.
 */
export const INIT = "init";
const DIRECTORIES = ["dev", "dev/pts", "dev/shm", "etc", "proc", "sys"];
const FILES = [".dockerenv", "dev/console", "etc/hostname", "etc/hosts", "etc/resolv.conf"];
/** Where programs look for what is mounted. */
const MOUNTS = { path: "etc/mtab", target: "/proc/mounts" };
const MODE = 0o755;

/** Makes it below `root`; what it has already stays. */
export function makeInitLayer(root: string): void {
	const layer = join(root, INIT);
	fs.mkdirSync(layer, { recursive: true, mode: 0o711 });
	for (const name of DIRECTORIES) fs.mkdirSync(join(layer, name), { recursive: true, mode: MODE });
	for (const name of FILES) fs.writeFileSync(join(layer, name), "", { mode: MODE });
	const mounts = join(layer, MOUNTS.path);
	if (!fs.lstatSync(mounts, { throwIfNoEntry: false })) fs.symlinkSync(MOUNTS.target, mounts);
}

/** The /etc of an image that is not as the layer's: whose owner and mode the container's is to have. @param layers directories, topmost first */
export function etcOwner(layers: readonly string[]): string | undefined {
	for (const layer of layers) {
		const path = join(layer, "etc");
		const stat = fs.lstatSync(path, { throwIfNoEntry: false });
		if (!stat) continue;
		const unlike = stat.uid !== 0 || stat.gid !== 0 || (stat.mode & 0o7777) !== MODE;
		return stat.isDirectory() && unlike ? path : undefined;
	}
	return undefined;
}

/** A directory of the writable layer hides those below it: it has what they would show. */
export function copyOwner(from: string, to: string): void {
	const { uid, gid, mode } = fs.statSync(from);
	fs.chownSync(to, uid, gid);
	fs.chmodSync(to, mode & 0o7777);
}
