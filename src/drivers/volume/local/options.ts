import { EngineError } from "../../../shared/errors.ts";
import type { VolumeOptions } from "../driver.ts";

const KNOWN = ["type", "o", "device", "size"];
/** Which options one needs beside it. */
const NEEDS: readonly (readonly [string, readonly string[]])[] = [
	["device", ["type"]],
	["type", ["device"]],
	["o", ["device", "type"]],
];

/** Throws "invalid" in docker's words. A quota (`size`) needs a project quota of the filesystem, which this driver does not have. */
export function checkOptions(options: VolumeOptions): void {
	const invalid = (message: string) => new EngineError("invalid", message);
	for (const name of Object.keys(options)) {
		if (!KNOWN.includes(name)) throw invalid(`invalid option: ${JSON.stringify(name)}`);
	}
	for (const [name, needed] of NEEDS) {
		const missing = Object.hasOwn(options, name) && needed.find((other) => !Object.hasOwn(options, other));
		if (missing) throw invalid(`missing required option: ${JSON.stringify(missing)}`);
	}
	const { size } = options;
	if (size === undefined) return;
	if (!/^\d+(\.\d+)?\s*[kmgtp]?i?b?$/i.test(size)) throw invalid(`invalid size: '${size}'`);
	if (Number.parseFloat(size) > 0) throw invalid("quota size requested but no quota support");
}

/** Whether the volume is more than a directory. */
export function needsMount(options: VolumeOptions): boolean {
	return Boolean(options.device || options.type);
}
