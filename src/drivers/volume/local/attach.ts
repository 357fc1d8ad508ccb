import { lookup } from "node:dns/promises";
import { isIP } from "node:net";
import { EngineError, messageOf } from "../../../shared/errors.ts";
import { SyscallError } from "../../../sys/linux/libc.ts";
import { MS_BIND, mount, unmount } from "../../../sys/linux/mount.ts";
import { parseMountOptions } from "../../../sys/linux/mount-options.ts";
import type { VolumeOptions } from "../driver.ts";

/** What mount(2) says, in Go's words. */
const WORDS: Readonly<Record<string, string>> = {
	EPERM: "operation not permitted",
	ENOENT: "no such file or directory",
	EACCES: "permission denied",
	EBUSY: "device or resource busy",
	ENODEV: "no such device",
	ENOTDIR: "not a directory",
	EINVAL: "invalid argument",
};
/** Mounted by a syscall at once; any other filesystem may wait for a disk or a server, and is mounted by a child process. */
const QUICK = ["", "none", "bind", "tmpfs"];
const CHILD_WITHIN_MS = 60_000;

/** Mounts what the options name on `target`. Throws "internal" in docker's words. */
export async function attach(target: string, options: VolumeOptions): Promise<void> {
	const { type = "", device = "", o = "" } = options;
	const parsed = parseMountOptions(await withAddress(type, o));
	const { flags, propagation, data } = parsed;
	const shown = `mount ${device}:${target}${flags ? `, flags: 0x${flags.toString(16)}` : ""}${data ? `, data: ${masked(data)}` : ""}`;
	try {
		if (QUICK.includes(type) || (flags & MS_BIND) !== 0) mount({ source: device, target, type, flags, data });
		else await mountByChild(target, type, device, parsed.data, o);
		if (propagation === 0) return;
		try {
			mount({ source: "none", target, flags: propagation });
		} catch (error) {
			unmount(target);
			throw error;
		}
	} catch (cause) {
		const why = cause instanceof SyscallError ? (WORDS[cause.code] ?? cause.code) : messageOf(cause);
		const text = `error while mounting volume '${target}': failed to mount local volume: ${shown}: ${why}`;
		throw new EngineError("internal", text, { cause });
	}
}

/** Who is told of the failure need not know the password. */
function masked(data: string): string {
	return data.replace(/(^|,)(pass(?:word2?)?=)[^,]*/g, "$1$2********");
}

/** nfs and cifs take an address in `addr`, where clients write names. */
async function withAddress(type: string, o: string): Promise<string> {
	if (!/^(nfs4?|cifs)$/.test(type)) return o;
	const words = await Promise.all(
		o.split(",").map(async (word) => {
			const host = /^addr=(.+)$/.exec(word)?.[1];
			if (host === undefined || isIP(host) !== 0) return word;
			try {
				return `addr=${(await lookup(host)).address}`;
			} catch (cause) {
				throw new EngineError(
					"internal",
					`error resolving passed in network volume address: lookup ${host}: no such host`,
					{
						cause,
					},
				);
			}
		}),
	);
	return words.join(",");
}

async function mountByChild(target: string, type: string, device: string, data: string, o: string): Promise<void> {
	const flags = o.split(",").filter((word) => word !== "" && !data.split(",").includes(word));
	const options = [...flags, ...data.split(",")].filter(Boolean).join(",");
	// mount -i: the kernel's own mount(2), no helper program of the filesystem
	const argv = ["mount", "-i", "-t", type, ...(options ? ["-o", options] : []), "--", device, target];
	const child = Bun.spawn(argv, { stdin: "ignore", stdout: "ignore", stderr: "pipe", timeout: CHILD_WITHIN_MS });
	const [text, code] = await Promise.all([new Response(child.stderr).text(), child.exited]);
	if (code === 0) return;
	if (child.signalCode) throw new Error("no answer within 60 s");
	throw new Error(/unknown filesystem type/.test(text) ? "no such device" : lastWords(text));
}

/** `mount: /x: wrong fs type.` without the program's name and place. */
function lastWords(text: string): string {
	const line = text.trim().split("\n")[0] ?? "";
	return line.replace(/^mount: [^:]*: /, "").replace(/\.$/, "");
}
