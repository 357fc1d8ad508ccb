const LOOPBACK = ["localhost", "127.0.0.0/8", "::1"];

/**
 * Keeps loopback out of HTTP proxies, as Go's programs do by themselves: Bun's fetch would send even 127.0.0.1 through `HTTP_PROXY`.
 * For the process that fetches, at its start.
 */
export function keepLoopbackDirect(environment: Record<string, string | undefined>): void {
	// fetch reads the lower-case name first
	for (const name of ["no_proxy", "NO_PROXY"]) {
		const given = environment[name] ?? environment.no_proxy ?? environment.NO_PROXY ?? "";
		const listed = given.split(",").filter((entry) => entry.trim() !== "");
		environment[name] = [...new Set([...listed, ...LOOPBACK])].join(",");
	}
}
