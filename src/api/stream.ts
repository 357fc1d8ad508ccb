/**
 * A streaming reply over chunks made on demand: one chunk is pulled per free place, and when the client goes away
 * `iterator.return()` frees what feeds it.
 */
export function streamResponse(chunks: AsyncIterable<Uint8Array>, contentType: string, status = 200): Response {
	const iterator = chunks[Symbol.asyncIterator]();
	const body = new ReadableStream<Uint8Array>(
		{
			async pull(controller) {
				const next = await iterator.next();
				if (next.done) controller.close();
				else controller.enqueue(next.value);
			},
			async cancel() {
				await iterator.return?.();
			},
		},
		{ highWaterMark: 0 },
	);
	return new Response(body, { status, headers: { "content-type": contentType } });
}

/** One JSON text and line end per value. */
export async function* jsonLines(values: AsyncIterable<unknown>): AsyncGenerator<Uint8Array> {
	const encoder = new TextEncoder();
	for await (const value of values) yield encoder.encode(`${JSON.stringify(value)}\n`);
}

export const RAW_STREAM = "application/vnd.docker.raw-stream";
export const MULTIPLEXED_STREAM = "application/vnd.docker.multiplexed-stream";

/** Multiplexed output has a type of its own since API 1.42. */
export function streamType(tty: boolean, minor: number): string {
	return tty || minor < 42 ? RAW_STREAM : MULTIPLEXED_STREAM;
}
