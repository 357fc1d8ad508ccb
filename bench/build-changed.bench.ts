import tar from "tar-stream";
import type { Bench } from "./lib/bench.ts";
import type { Engine } from "./lib/engine.ts";
import { removeImage } from "./lib/images.ts";

const NAME = "bench-build-changed";
const FILES = 15;
const FILE_BYTES = 10 << 20;
let round = 0;

/** Context of 150 MB of which one small file is another each time. */
function context(files: readonly Buffer[]): AsyncIterable<Buffer> {
	const pack = tar.pack();
	pack.entry({ name: "Dockerfile" }, "FROM busybox\nCOPY . /c\nRUN cat /c/changed > /out\n");
	for (const [i, file] of files.entries()) pack.entry({ name: `file${i}` }, file);
	pack.entry({ name: "changed" }, `${process.pid} ${round++}`);
	pack.finalize();
	return pack as AsyncIterable<Buffer>;
}

let files: Buffer[] = [];

async function run(engine: Engine): Promise<number> {
	const body = new Blob(await Array.fromAsync(context(files), (chunk) => new Uint8Array(chunk)));
	const begin = performance.now();
	const reply = await fetch(`http://localhost/v1.43/build?t=${NAME}&rm=1&version=1`, {
		method: "POST",
		unix: engine.socket,
		body,
		headers: { "Content-Type": "application/x-tar" },
	});
	const text = await reply.text();
	const milliseconds = performance.now() - begin;
	if (!text.includes("Successfully tagged")) throw new Error(`build: ${reply.status} ${text.slice(-300)}`);
	return milliseconds;
}

export const bench: Bench = {
	title: "build of a context of 150 MB, one file changed, by API",
	unit: "ms",
	better: "lower",
	rounds: 5,
	goal: 1,
	async open() {
		files = Array.from({ length: FILES }, () => Buffer.from(crypto.getRandomValues(new Uint8Array(65_536))));
		files = files.map((seed) => Buffer.concat(Array.from({ length: FILE_BYTES / seed.length }, () => seed)));
	},
	prepare: async (engine) => void (await run(engine)),
	measure: run,
	cleanup: (engine) => removeImage(engine, NAME),
};
