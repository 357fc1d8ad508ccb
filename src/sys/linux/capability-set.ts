import { readFileSync } from "node:fs";

/** Numbers of the capabilities this process may give away, per capabilities(7). */
export function availableCapabilities(status = readFileSync("/proc/self/status", "utf8")): number[] {
	// grep CapBnd /proc/self/status
	const mask = BigInt(`0x${/^CapBnd:\s*([0-9a-f]+)$/m.exec(status)?.[1] ?? "0"}`);
	return Array.from({ length: 64 }, (_, bit) => bit).filter((bit) => (mask >> BigInt(bit)) & 1n);
}
