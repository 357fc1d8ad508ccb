import { createHash, type Hash } from "node:crypto";
import { fstatSync } from "node:fs";
import { messageOf } from "../../../shared/errors.ts";
import { type FileDigest, inodeKey } from "../build/file-digests.ts";
import { TarReader, type TarSink } from "../overlay/tar-reader.ts";
import { TreeWriter } from "./tree-writer.ts";
import { asBuffer, finishTar, type UnpackAnswer, type UnpackMessage, type UnpackTarget } from "./unpack.ts";

/** Runs in a Worker, one for each unpacking; see UnpackMessage. */
declare const self: Worker;

let work: { readonly writer: TreeWriter; readonly tar: TarReader; readonly digests: FileDigest[] } | undefined;
let failed = false;

function take(message: UnpackMessage): UnpackAnswer | undefined {
	if ("target" in message) {
		work = hashing(message.target, message.hash);
		return undefined;
	}
	if (!work) return { error: "nothing to unpack into" };
	if ("chunk" in message) {
		work.tar.push(asBuffer(message.chunk));
		return { done: false };
	}
	finishTar(work.tar, work.writer);
	work.writer[Symbol.dispose]();
	return { done: true, digests: work.digests };
}

/** What is written is hashed on its way, when asked. */
function hashing({ root, destination, options }: UnpackTarget, hash: boolean) {
	const digests: FileDigest[] = [];
	let content: Hash | undefined;
	const written = (fd: number) => {
		if (content) digests.push({ inode: inodeKey(fstatSync(fd, { bigint: true })), sha256: content.digest("hex") });
		content = undefined;
	};
	const writer = new TreeWriter(root, destination, options, written);
	const sink: TarSink = {
		raw: () => {},
		begin: (entry) => {
			const wanted = writer.begin(entry);
			content = wanted && hash ? createHash("sha256") : undefined;
			return wanted;
		},
		payload: (data) => {
			content?.update(data);
			writer.payload(data);
		},
		finish: () => writer.finish(),
	};
	return { writer, tar: new TarReader(sink), digests };
}

self.onmessage = ({ data }: MessageEvent<UnpackMessage>) => {
	if (failed) return;
	try {
		const answer = take(data);
		if (answer) self.postMessage(answer);
	} catch (error) {
		failed = true;
		work?.writer[Symbol.dispose]();
		self.postMessage({ error: messageOf(error) } satisfies UnpackAnswer);
	}
};
