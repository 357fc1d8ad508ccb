import { EngineError } from "../../../shared/errors.ts";
import type { MountRequest } from "../config.ts";

const FLAGS =
	"ro rw nosuid suid nodev dev noexec exec sync async dirsync remount noatime atime nodiratime diratime relatime norelatime strictatime nostrictatime private rprivate shared rshared slave rslave unbindable runbindable".split(
		" ",
	);
const VALUES = ["size", "mode", "uid", "gid", "nr_inodes", "nr_blocks", "mpol"];
/** What TmpfsOptions.Options may hold. */
const REQUEST_FLAGS = ["exec", "noexec"];
const DEFAULTS = ["noexec", "nosuid", "nodev"];

const invalid = (message: string) => new EngineError("invalid", message);

/** Options of HostConfig.Tmpfs, docker's defaults first. */
export function tmpfsOptions(text: string): string[] {
	const asked = text === "" ? [] : text.split(",");
	for (const word of asked) {
		const [key = "", value] = word.split("=");
		const known = value === undefined ? FLAGS.includes(key) : VALUES.includes(key);
		if (!known) throw invalid(`invalid tmpfs option ${JSON.stringify(word)}`);
	}
	return merged(asked);
}

/** Options of a mount of type tmpfs. */
export function tmpfsMountOptions({ ReadOnly, TmpfsOptions = {} }: MountRequest): string[] {
	const wrong = (reason: string) => invalid(`invalid mount config for type "tmpfs": ${reason}`);
	const { SizeBytes = 0, Mode = 0, Options = [] } = TmpfsOptions;
	if (SizeBytes < 0) throw wrong(`invalid tmpfs size: ${SizeBytes}`);
	const flags = Options.map((option) => {
		const [name = ""] = option;
		if (option.length < 1 || option.length > 2) throw wrong("invalid option array length");
		if (option.length === 2 && REQUEST_FLAGS.includes(name)) {
			throw invalid(`invalid tmpfs option ${JSON.stringify(name)}`);
		}
		if (!REQUEST_FLAGS.includes(name)) throw wrong(`invalid option: ${name}`);
		return name;
	});
	const sized = [SizeBytes ? `size=${SizeBytes}` : "", Mode ? `mode=${Mode.toString(8)}` : ""].filter(Boolean);
	return merged([...(ReadOnly ? ["ro"] : []), ...sized, ...flags]);
}

/** docker's defaults but those that are asked otherwise: the runtime would hold on to the first of two. */
function merged(asked: readonly string[]): string[] {
	return [...DEFAULTS.filter((word) => !asked.includes(word.slice(2)) && !asked.includes(word)), ...asked];
}
