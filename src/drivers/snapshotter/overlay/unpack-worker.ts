import { messageOf } from "../../../shared/errors.ts";
import { type UnpackRequest, unpackLayer } from "./unpack.ts";

/** Runs in a Worker: one request in, one reply out, in any number. */
declare const self: Worker;

self.onmessage = async (event: MessageEvent<{ job: number; request: UnpackRequest }>) => {
	const { job, request } = event.data;
	try {
		self.postMessage({ job, ...(await unpackLayer(request)) });
	} catch (error) {
		self.postMessage({ job, error: messageOf(error) });
	}
};
