import { chmodSync, copyFileSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { UsageError } from "../../shared/usage-error.ts";

export interface HostDnsOptions {
	/** fd.local */
	readonly domain: string;
	readonly instance: string;
	/** The host-side resolver: 127.0.0.153:53. */
	readonly dns: { readonly address: string; readonly port: number };
	/** Where resolv.conf is kept as it was before the first install. */
	readonly backupPath: string;
	readonly paths?: HostDnsPaths;
	/** Makes systemd-resolved read its drop-ins again; rejects when it fails. */
	readonly reloadResolved?: () => Promise<void>;
}

export interface HostDnsPaths {
	readonly resolvConf: string;
	readonly resolvedDropIns: string;
}

/** What was changed on the host, one sentence for the user; undefined when it was already so. */
export type HostDnsChange = string | undefined;

export const RESOLV_CONF = "/etc/resolv.conf";
const DEFAULT_PATHS: HostDnsPaths = { resolvConf: RESOLV_CONF, resolvedDropIns: "/etc/systemd/resolved.conf.d" };

/**
 * Makes the host resolve the domain: a drop-in where resolv.conf names systemd-resolved's stub, else our server as the first nameserver.
 * Safe to repeat. Throws UsageError when resolv.conf would have to name a port other than 53.
 */
export async function installHostDns(options: HostDnsOptions): Promise<HostDnsChange> {
	const paths = options.paths ?? DEFAULT_PATHS;
	const text = readOptional(paths.resolvConf);
	const stub = usesResolvedStub(text ?? "");
	const change = stub ? await installDropIn(options, paths) : installNameserver(options, paths.resolvConf, text);
	mkdirSync(dirname(options.backupPath), { recursive: true, mode: 0o710 });
	writeFileSync(installedMark(options), "");
	return change;
}

/** A file that says that the host is to resolve our names, whoever writes resolv.conf anew. */
export function installedMark({ backupPath }: HostDnsOptions): string {
	return join(dirname(backupPath), "host-dns.installed");
}

/** Takes back what install did, our lines only: what others changed in between stays. Safe to repeat, and without an install. */
export async function removeHostDns(options: HostDnsOptions): Promise<HostDnsChange> {
	const paths = options.paths ?? DEFAULT_PATHS;
	// First of all: a daemon that sees resolv.conf change would put our lines back.
	rmSync(installedMark(options), { force: true });
	const changes = [removeNameserver(options, paths.resolvConf), await removeDropIn(options, paths)];
	return changes.filter((change) => change !== undefined).join("; ") || undefined;
}

/** The stub is the only address by which programs reach systemd-resolved through resolv.conf. */
export function usesResolvedStub(resolvConf: string): boolean {
	return /^\s*nameserver\s+127\.0\.0\.5[34]\s*$/m.test(resolvConf);
}

/** The text with our server first: the rest stays byte for byte. */
export function withNameserver(resolvConf: string, instance: string, domain: string, address: string): string {
	return `${marker(instance)} resolves ${domain}; the next line is removed with this one\nnameserver ${address}\n${withoutNameserver(resolvConf, instance)}`;
}

/** The text without the lines of this instance. */
export function withoutNameserver(resolvConf: string, instance: string): string {
	const kept: string[] = [];
	const lines = resolvConf.split("\n");
	for (let i = 0; i < lines.length; i++) {
		const line = lines[i] ?? "";
		if (!line.startsWith(`${marker(instance)} `)) kept.push(line);
		else if (lines[i + 1]?.startsWith("nameserver ")) i++;
	}
	return kept.join("\n");
}

/** Starts with the prefix by which the daemon knows that the nameserver below is one of ours (engine/names/host-resolvers.ts). */
const marker = (instance: string): string => `# foredeck-${instance}:`;

/** Written in place: the file may be a bind mount or a link. */
function installNameserver(
	{ domain, instance, dns, backupPath }: HostDnsOptions,
	path: string,
	text: string | undefined,
): HostDnsChange {
	if (dns.port !== 53) {
		throw new UsageError(
			`cannot make this host resolve ${domain} by ${dns.address}:${dns.port}: ${path} takes port 53 only`,
		);
	}
	const wanted = withNameserver(text ?? "", instance, domain, dns.address);
	if (wanted === text) return undefined;
	const clean = text !== undefined && withoutNameserver(text, instance) === text;
	if (clean) {
		mkdirSync(dirname(backupPath), { recursive: true, mode: 0o710 });
		copyFileSync(path, backupPath);
	}
	writeFileSync(path, wanted);
	return `${path}: nameserver ${dns.address} put first${clean ? ` (as it was: ${backupPath})` : ""}`;
}

/** A file that was not there before is removed when nothing but our lines was in it. */
function removeNameserver({ instance, backupPath, dns }: HostDnsOptions, path: string): HostDnsChange {
	const text = readOptional(path);
	const hadFile = existsSync(backupPath);
	rmSync(backupPath, { force: true });
	if (text === undefined) return undefined;
	const wanted = withoutNameserver(text, instance);
	if (wanted === text) return undefined;
	if (wanted === "" && !hadFile) rmSync(path);
	else writeFileSync(path, wanted);
	return `${path}: nameserver ${dns.address} taken out`;
}

async function installDropIn(options: HostDnsOptions, paths: HostDnsPaths): Promise<HostDnsChange> {
	const path = dropInPath(options, paths);
	const { address, port } = options.dns;
	const server = port === 53 ? address : `${address}:${port}`;
	const wanted = `# foredeck-${options.instance}: asks its resolver for ${options.domain}\n[Resolve]\nDNS=${server}\nDomains=~${options.domain}\n`;
	if (readOptional(path) === wanted) return undefined;
	mkdirSync(paths.resolvedDropIns, { recursive: true });
	writeFileSync(path, wanted);
	chmodSync(path, 0o644); // systemd-resolved reads it as its own user, whatever our umask
	await (options.reloadResolved ?? reloadResolved)();
	return `${path}: systemd-resolved asks ${server} for ${options.domain}`;
}

async function removeDropIn(options: HostDnsOptions, paths: HostDnsPaths): Promise<HostDnsChange> {
	const path = dropInPath(options, paths);
	if (!existsSync(path)) return undefined;
	rmSync(path);
	await (options.reloadResolved ?? reloadResolved)();
	return `${path}: removed`;
}

const dropInPath = (options: HostDnsOptions, paths: HostDnsPaths): string =>
	`${paths.resolvedDropIns}/foredeck-${options.instance}.conf`;

function readOptional(path: string): string | undefined {
	try {
		return readFileSync(path, "utf8");
	} catch (error) {
		if (error instanceof Error && "code" in error && error.code === "ENOENT") return undefined;
		throw error;
	}
}

/** systemctl try-reload-or-restart: versions before 256 cannot reload, and restart. */
async function reloadResolved(): Promise<void> {
	const process = Bun.spawn(["systemctl", "try-reload-or-restart", "systemd-resolved"], {
		stderr: "pipe",
		stdout: "ignore",
	});
	const stderr = await new Response(process.stderr).text();
	const code = await process.exited;
	if (code !== 0)
		throw new Error(
			`cannot make systemd-resolved read its configuration: systemctl exited with ${code}: ${stderr.trim()}`,
		);
}
