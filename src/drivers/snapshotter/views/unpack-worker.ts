import { messageOf } from "../../../shared/errors.ts";
import { TarReader } from "../overlay/tar-reader.ts";
import { TreeWriter } from "./tree-writer.ts";
import { asBuffer, finishTar, type UnpackAnswer, type UnpackMessage } from "./unpack.ts";

/** Runs in a Worker, one for each unpacking; see UnpackMessage. */
declare const self: Worker;

let work: { readonly writer: TreeWriter; readonly tar: TarReader } | undefined;
let failed = false;

function take(message: UnpackMessage): UnpackAnswer | undefined {
	if ("target" in message) {
		const { root, destination, options } = message.target;
		const writer = new TreeWriter(root, destination, options);
		work = { writer, tar: new TarReader(writer) };
		return undefined;
	}
	if (!work) return { error: "nothing to unpack into" };
	if ("chunk" in message) {
		work.tar.push(asBuffer(message.chunk));
		return { done: false };
	}
	finishTar(work.tar, work.writer);
	work.writer[Symbol.dispose]();
	return { done: true };
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
