import type { ImageFiles } from "../../engine/build/contract.ts";
import { goMode } from "./filesync.ts";
import { CODES, decoded, GrpcError, type OpenCall } from "./grpc.ts";
import { bytesMessage, PACKET, packet } from "./messages.ts";

/** Content of one message to the client; gRPC's default limit is 4 MiB. */
const PIECE_BYTES = 1 << 20;

/** Sends a tar of the files: `--output type=tar`. `told` hears how many bytes have gone. */
export async function sendTar(call: OpenCall, files: ImageFiles, told: (bytes: number) => void): Promise<void> {
	let size = 0;
	for await (const chunk of files.tar()) {
		for (const data of pieces(chunk)) await call.send(bytesMessage.encode({ data }));
		size += chunk.length;
		told(size);
	}
	call.end();
	// The client closes its side when the file is whole.
	for await (const _ of call.messages);
}

/**
 * Sends a directory: `--output type=local`. The mirror of receiveTree: all entries, then the content of files as the client asks for them by
 * their numbers.
 */
export async function sendTree(call: OpenCall, files: ImageFiles, told: (bytes: number) => void): Promise<void> {
	let [size, number] = [0, 0];
	const paths = new Map<number, string>();
	for (const { path, mode, linkName, modified, ...rest } of files.entries()) {
		const stat = { ...rest, path, mode: goMode(mode), linkname: linkName, modTime: modified, devmajor: 0, devminor: 0 };
		if ((mode & 0o170000) === 0o100000 && linkName === "") paths.set(number, path);
		await call.send(packet.encode({ type: PACKET.stat, stat }));
		number++;
	}
	await call.send(packet.encode({ type: PACKET.stat }));
	for await (const message of call.messages) {
		const { type, ID, data } = decoded(packet, message);
		if (type === PACKET.error) throw new GrpcError(CODES.unknown, Buffer.from(data).toString());
		if (type === PACKET.fin) {
			await call.send(packet.encode({ type: PACKET.fin }));
			call.end();
		}
		if (type !== PACKET.request) continue;
		const path = paths.get(ID);
		if (path === undefined) throw new GrpcError(CODES.invalid, `no file has the number ${ID}`);
		for await (const chunk of files.content(path)) {
			for (const piece of pieces(chunk)) await call.send(packet.encode({ type: PACKET.data, ID, data: piece }));
			size += chunk.length;
			told(size);
		}
		await call.send(packet.encode({ type: PACKET.data, ID }));
	}
}

function* pieces(chunk: Uint8Array): Generator<Uint8Array> {
	for (let at = 0; at < chunk.length; at += PIECE_BYTES) yield chunk.subarray(at, at + PIECE_BYTES);
}
