import { existsSync, type FSWatcher, realpathSync, watch } from "node:fs";
import { dirname } from "node:path";
import { type HostDnsOptions, installedMark, installHostDns, RESOLV_CONF } from "../cli/host-dns/host-dns.ts";
import { messageOf } from "../shared/errors.ts";
import type { Logger } from "../shared/log.ts";

/** DHCP clients write the file in several steps. */
const SETTLE_MS = 200;

/**
 * Keeps what `foredeck dns install` did for as long as the daemon runs: DHCP clients and network managers write resolv.conf anew, at each boot and with a new
 * lease. Nothing is done on a host where it was not asked for.
 */
export function keepHostDns(options: HostDnsOptions, log: Logger): Disposable {
	const path = options.paths?.resolvConf ?? RESOLV_CONF;
	let timer: ReturnType<typeof setTimeout> | undefined;
	const renew = async () => {
		if (!existsSync(installedMark(options))) return;
		try {
			const change = await installHostDns(options);
			if (change) log.info("host resolves our names again", { change });
		} catch (error) {
			log.warn("host does not resolve our names", { error: messageOf(error) });
		}
	};
	const soon = () => {
		clearTimeout(timer);
		timer = setTimeout(renew, SETTLE_MS);
		timer.unref();
	};
	const watchers = directoriesOf(path).map((directory) => watchDirectory(directory, soon));
	soon();
	return {
		[Symbol.dispose]: () => {
			clearTimeout(timer);
			for (const watcher of watchers) watcher?.close();
		},
	};
}

/** The file is often replaced, and may be a link to one that is. */
function directoriesOf(path: string): string[] {
	const real = existsSync(path) ? realpathSync(path) : path;
	return [...new Set([dirname(path), dirname(real)])];
}

function watchDirectory(directory: string, onChange: () => void): FSWatcher | undefined {
	try {
		const watcher = watch(directory, { persistent: false }, (_event, file) => {
			if (file === null || file.includes("resolv")) onChange();
		});
		watcher.on("error", () => {});
		return watcher;
	} catch {
		return undefined;
	}
}
