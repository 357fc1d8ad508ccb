import { createHash } from "node:crypto";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";
import { CACHE, candidates, type DebianPackage, downloadPackages, resolvePackages } from "./debian-packages.ts";
import { EPOCH, type ImageConfig, type Layer, writeImageArchive } from "./image-archive.ts";
import { run } from "./processes.ts";

/** How a layer is made: packages are unpacked (their scripts do not run), files are laid over them, then a shell command may finish it. */
export interface LayerRecipe {
	/** Debian packages, without what they depend on. */
	readonly packages: readonly string[];
	/** A tree that is copied over the packages' files with its modes; owners become root. */
	readonly files?: string;
	/** Runs in the image with its shell: what the packages' own scripts would have done. */
	readonly finish?: string;
}

export interface PackageImage extends LayerRecipe {
	readonly config: ImageConfig;
}

/** Raised when the way layers are made changes. */
const RECIPE_VERSION = 1;
const IMAGES = join(CACHE, "images");
const NOT_NEEDED = [
	"./usr/share/doc/*",
	"./usr/share/man/*",
	"./usr/share/locale/*",
	"./usr/share/info/*",
	"./lib/systemd/*",
];
const MERGED = ["bin", "lib", "lib64", "sbin"];

/**
 * Path of a docker-archive of the image: two layers, the base that all images share and its own. Made where it is not in the cache for these
 * files and the versions of the packages that the recipe names. Needs root, apt and a mirror.
 */
export async function packageImage(image: PackageImage, base: LayerRecipe): Promise<string> {
	mkdirSync(IMAGES, { recursive: true });
	const name = image.config.tag.replaceAll(/[^a-z0-9]+/g, "-");
	const below = await keyOf(base);
	const own = await keyOf(image);
	return await cached(`${name}.image`, [...below, ...own, JSON.stringify(image.config)], async (path) => {
		const list = await cached("base.packages", below, async (path) => {
			await Bun.write(path, JSON.stringify(await resolvePackages(base.packages)));
		});
		const shared: DebianPackage[] = await Bun.file(list).json();
		const lower = await cached("base.layer", below, (path) => makeLayer(path, base, shared));
		const upper = await cached(`${name}.layer`, [...below, ...own], async (path) => {
			const packages = await resolvePackages(image.packages);
			const added = packages.filter((one) => shared.every((other) => other.name !== one.name));
			await makeLayer(path, image, added, lower);
		});
		const layers = [layerOf(lower, base), layerOf(upper, image)];
		await writeImageArchive(path, layers, image.config);
	});
}

function layerOf(path: string, recipe: LayerRecipe): Layer {
	return { path, origin: `Debian's ${recipe.packages.join(", ")}` };
}

/** What a layer is made from. */
async function keyOf(recipe: LayerRecipe): Promise<string[]> {
	const files = recipe.files === undefined ? [] : contentOf(recipe.files);
	return [...(await candidates(recipe.packages)), ...files, recipe.finish ?? ""];
}

async function makeLayer(
	path: string,
	recipe: LayerRecipe,
	packages: readonly DebianPackage[],
	lower?: string,
): Promise<void> {
	const work = mkdtempSync(join(IMAGES, "work-"));
	try {
		await buildLayer(path, work, recipe, await downloadPackages(packages), lower);
	} finally {
		rmSync(work, { recursive: true });
	}
}

async function buildLayer(
	path: string,
	work: string,
	recipe: LayerRecipe,
	debs: readonly string[],
	lower: string | undefined,
): Promise<void> {
	const root = join(work, "root");
	for (const name of MERGED) mkdirSync(join(root, "usr", name), { recursive: true });
	for (const name of MERGED) await run(["ln", "-s", `usr/${name}`, join(root, name)]);
	const exclude = NOT_NEEDED.map((pattern) => `--exclude=${pattern}`);
	const unpack = `dpkg-deb --fsys-tarfile "$0" | tar -x -p -C "${root}" --keep-directory-symlink "$@"`;
	for (const deb of debs) await run(["bash", "-o", "pipefail", "-c", unpack, deb, ...exclude]);
	if (recipe.files !== undefined) await run(["cp", "-a", "--no-preserve=ownership", `${recipe.files}/.`, root]);
	if (recipe.finish !== undefined) await finish(work, root, recipe.finish, lower);
	const reproducible = ["--sort=name", `--mtime=@${EPOCH.getTime() / 1000}`, "--clamp-mtime", "--numeric-owner"];
	await run(["tar", "-c", "-f", path, "-C", root, ...reproducible, ...readdirSync(root).sort()]);
}

/** Runs a command in the layer laid over the one below it, in a mount namespace that ends with it. */
async function finish(work: string, root: string, command: string, lower: string | undefined): Promise<void> {
	if (lower === undefined) {
		await run(["chroot", root, "/bin/sh", "-euc", command]);
		return;
	}
	for (const name of ["below", "overlay", "merged"]) mkdirSync(join(work, name));
	await run(["tar", "-x", "-p", "-f", lower, "-C", join(work, "below")]);
	const mount = `mount -t overlay overlay -o lowerdir=below,upperdir=root,workdir=overlay merged`;
	await run(["unshare", "-m", "sh", "-euc", `${mount}; exec chroot merged /bin/sh -euc "$0"`, command], { cwd: work });
}

/** The file of that name and key in the cache, made by `make` where it is not there; it appears whole or not at all. Others of the name are removed. */
async function cached(name: string, key: readonly string[], make: (path: string) => Promise<void>): Promise<string> {
	const hash = createHash("sha256")
		.update(JSON.stringify([RECIPE_VERSION, key]))
		.digest("hex")
		.slice(0, 16);
	const path = join(IMAGES, `${name}-${hash}`);
	if (existsSync(path)) return path;
	const making = `${path}.${process.pid}`;
	try {
		await make(making);
		renameSync(making, path);
	} finally {
		rmSync(making, { force: true });
	}
	for (const old of readdirSync(IMAGES))
		if (/-[0-9a-f]{16}$/.test(old) && old.slice(0, -17) === name && join(IMAGES, old) !== path)
			rmSync(join(IMAGES, old));
	return path;
}

/** Path, mode and content of every file below a directory, as text. */
function contentOf(directory: string): string[] {
	const names = readdirSync(directory, { recursive: true, encoding: "utf8" }).sort();
	return names.flatMap((name) => {
		const path = join(directory, name);
		const { mode } = statSync(path);
		return statSync(path).isDirectory() ? [] : [`${name} ${mode & 0o111 ? "x" : "-"} ${readFileSync(path, "base64")}`];
	});
}
