/** The instance that needs no name in its paths. */
export const DEFAULT_INSTANCE = "fd";

/** /var/lib/foredeck, and /var/lib/foredeck-NAME for other instances. */
export function defaultDataRoot(instance: string): string {
	return `/var/lib/foredeck${suffix(instance)}`;
}

/** /run/foredeck, and /run/foredeck-NAME for other instances. */
export function defaultRunRoot(instance: string): string {
	return `/run/foredeck${suffix(instance)}`;
}

/** unix:///run/foredeck.sock, and unix:///run/foredeck-NAME.sock for other instances. */
export function defaultHost(instance: string): string {
	return `unix:///run/foredeck${suffix(instance)}.sock`;
}

/** The file whose lock says that a daemon runs on this data or run root. */
export function lockFile(root: string): string {
	return `${root}/daemon.lock`;
}

function suffix(instance: string): string {
	return instance === DEFAULT_INSTANCE ? "" : `-${instance}`;
}
