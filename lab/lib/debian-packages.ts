import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { run } from "./processes.ts";

/** A Debian package as apt would install it now. */
export interface DebianPackage {
	readonly name: string;
	readonly version: string;
}

/** Where packages, layers and images are kept between runs. */
export const CACHE = process.env.FOREDECK_TEST_CACHE ?? "/var/cache/foredeck-test";

/** What only the maintainer scripts of other packages need; those do not run when a package is merely unpacked. */
const FOR_SCRIPTS = [
	/^(adduser|debconf|dpkg|init-system-helpers|lsb-base|passwd|sensible-utils|sysvinit-utils|ucf|usrmerge)$/,
	/^(perl|perl-base|perl-modules-.*|libperl.*|lib.*-perl|libgdbm.*)$/,
	/^(libpam.*|libaudit.*|libcap-ng0|libsemanage.*|libsepol.*)$/,
	/^(iproute2|libbpf1|libelf1|libxtables12|libcap2-bin|mariadb-client|default-mysql-client)$/,
];

/** `name=version` of each package named, as apt would install it now; a few ms. Throws when apt knows no such package, also after an update. */
export async function candidates(names: readonly string[]): Promise<string[]> {
	return await withUpdate(async () => {
		const output = await run(["apt-cache", ...options(), "policy", ...names]);
		const found = [...output.matchAll(/^(\S+):\n.*\n\s+Candidate: (\d\S*)$/gm)];
		if (found.length < names.length) throw new Error(`apt does not know all of ${names.join(", ")}: ${output}`);
		return found.map(([, name, version]) => `${name}=${version}`).sort();
	});
}

/** The packages named with all they depend on, sorted; seconds. */
export async function resolvePackages(names: readonly string[]): Promise<DebianPackage[]> {
	const output = await run(["apt-get", ...options(), "-y", "-s", "install", ...names]);
	const found = [...output.matchAll(/^Inst (\S+) \((\S+) /gm)].map(([, name = "", version = ""]) => ({
		name,
		version,
	}));
	return found
		.filter(({ name }) => !FOR_SCRIPTS.some((pattern) => pattern.test(name)))
		.sort((a, b) => (a.name < b.name ? -1 : 1));
}

/** Fetches those that are not in the cache yet; the paths of their .deb files, in the order of `packages`. */
export async function downloadPackages(packages: readonly DebianPackage[]): Promise<string[]> {
	const directory = join(CACHE, "debs");
	mkdirSync(directory, { recursive: true });
	const pathOf = ({ name, version }: DebianPackage) => {
		// apt writes the colon of an epoch as %3a
		const [path] = new Bun.Glob(`${name}_${version.replaceAll(":", "%3a")}_*.deb`).scanSync(directory);
		return path === undefined ? undefined : join(directory, path);
	};
	const missing = packages.filter((one) => pathOf(one) === undefined);
	const fetch = missing.map(({ name, version }) => `${name}=${version}`);
	if (fetch.length > 0)
		await withUpdate(() => run(["apt-get", ...options(), "-qq", "download", ...fetch], { cwd: directory }));
	return packages.map((one) => {
		const path = pathOf(one);
		if (path === undefined) throw new Error(`apt did not fetch ${one.name} ${one.version} into ${directory}`);
		return path;
	});
}

/** apt as on a machine on which nothing is installed, so that it names libc too; with its own index, which Debian's container images leave out. */
function options(): string[] {
	const directory = join(CACHE, "apt");
	mkdirSync(join(directory, "archives/partial"), { recursive: true });
	const status = join(directory, "nothing-installed");
	writeFileSync(status, "");
	const settings = [
		`Dir::State::status=${status}`,
		`Dir::Cache=${directory}`,
		"Dir::Cache::pkgcache=pkgcache.bin",
		"Dir::Cache::srcpkgcache=srcpkgcache.bin",
		"APT::Install-Recommends=0",
		"APT::Sandbox::User=root",
	];
	return settings.flatMap((setting) => ["-o", setting]);
}

/** Lists of packages may be missing or older than the mirror: one more try after an update. */
async function withUpdate<T>(attempt: () => Promise<T>): Promise<T> {
	return await attempt().catch(async () => {
		await run(["apt-get", "-qq", "update"]);
		return await attempt();
	});
}
