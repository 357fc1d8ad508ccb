import type { TreeEntry, TreeReceiver } from "../../engine/build/contract.ts";
import { CODES, decoded, GrpcError, type OpenCall } from "./grpc.ts";
import { PACKET, packet } from "./messages.ts";
import type { Decoded } from "./protobuf.ts";

/** Files that are asked for at a time: the client opens a few at once. */
const AHEAD = 512;

/**
 * Takes in a directory of the client: it says what is there, file by file in order; we ask by number for those whose content we lack, and it
 * sends them in pieces. Source: tonistiigi/fsutil, send.go and receive.go describe the protocol.
 */
export async function receiveTree(call: OpenCall, receiver: TreeReceiver): Promise<void> {
	const queue: number[] = [];
	const paths = new Map<number, string>();
	let [number, asked, listed] = [0, 0, false];
	const ask = async () => {
		for (; asked < AHEAD; asked++) {
			const ID = queue.shift();
			if (ID === undefined) break;
			await call.send(packet.encode({ type: PACKET.request, ID }));
		}
		if (listed && paths.size === 0) await call.send(packet.encode({ type: PACKET.fin }));
	};
	for await (const message of call.messages) {
		const { type, stat, ID, data } = decoded(packet, message);
		if (type === PACKET.error) throw new GrpcError(CODES.unknown, Buffer.from(data).toString());
		if (type === PACKET.fin) return call.end();
		if (type === PACKET.data) {
			const path = paths.get(ID);
			if (path === undefined) throw new GrpcError(CODES.invalid, `content of file ${ID} was not asked for`);
			receiver.content(path, data);
			if (data.length > 0) continue;
			paths.delete(ID);
			asked--;
			if (queue.length > 0 || listed) await ask();
		} else if (stat === undefined) {
			listed = true;
			await ask();
		} else {
			const entry = entryOf(stat);
			if (receiver.entry(entry)) {
				paths.set(number, entry.path);
				queue.push(number);
				if (asked < AHEAD) await ask();
			}
			number++;
		}
	}
	throw new GrpcError(CODES.unavailable, "the client has left before all files came");
}

// Bits of Go's os.FileMode that stand for a kind. Source: Go, io/fs.
const DIRECTORY = 0x80000000;
const SYMLINK = 0x08000000;
const DEVICE = 0x04000000;
const PIPE = 0x02000000;
const SOCKET = 0x01000000;
const SETUID = 0x00800000;
const SETGID = 0x00400000;
const CHARACTER = 0x00200000;
const STICKY = 0x00100000;
const KINDS = [
	[DIRECTORY, 0o040000],
	[SYMLINK, 0o120000],
	[PIPE, 0o010000],
	[SOCKET, 0o140000],
] as const;

function entryOf(stat: NonNullable<Decoded<typeof packet>["stat"]>): TreeEntry {
	const { path, uid, gid, size, modTime, linkname, xattrs } = stat;
	return { path, mode: linuxMode(stat.mode), uid, gid, size, modified: modTime, linkName: linkname, xattrs };
}

/** Go's file mode as st_mode has it. */
export function linuxMode(go: number): number {
	const has = (bit: number) => Math.floor(go / bit) % 2 === 1;
	const device = has(CHARACTER) ? 0o020000 : 0o060000;
	const kind = KINDS.find(([bit]) => has(bit))?.[1] ?? (has(DEVICE) ? device : 0o100000);
	const special = (has(SETUID) ? 0o4000 : 0) + (has(SETGID) ? 0o2000 : 0) + (has(STICKY) ? 0o1000 : 0);
	return kind + special + (go % 0o1000);
}

/** st_mode as Go has it. */
export function goMode(mode: number): number {
	const kind = KINDS.find(([, linux]) => (mode & 0o170000) === linux)?.[0] ?? 0;
	const special = (mode & 0o4000 ? SETUID : 0) + (mode & 0o2000 ? SETGID : 0) + (mode & 0o1000 ? STICKY : 0);
	return kind + special + (mode & 0o777);
}
