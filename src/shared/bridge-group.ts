/**
 * The group (`ip link show group N`) that the host's ends of a bridge's cables are in, by the bridge's name: by it rules of the bridge family know which
 * bridge a frame came by, for not every kernel can tell them its name. Never 0, which everybody else's interfaces have.
 */
export function bridgeGroupOf(bridge: string): number {
	// FNV-1a; below 2^30, for above are the groups of interfaces that are being deleted together (drivers/network/removals.ts).
	let hash = 0x811c9dc5;
	for (const byte of new TextEncoder().encode(bridge)) hash = Math.imul(hash ^ byte, 0x01000193);
	return (hash >>> 2) | 1;
}
