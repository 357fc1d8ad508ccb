import tar from "tar-stream";
import type { Bench } from "./bench.ts";
import type { Engine } from "./engine.ts";
import { removeImage } from "./images.ts";

const DOCKERFILE = `FROM busybox
ENV A=1
WORKDIR /app
COPY . .
RUN echo one > /one
RUN cat /one /app/file1 > /two
LABEL x=y
CMD ["cat", "/two"]
`;
const NAME = "bench-build";

/** A Dockerfile and 20 files of 3 KB. */
async function context(): Promise<Buffer> {
	const pack = tar.pack();
	pack.entry({ name: "Dockerfile" }, DOCKERFILE);
	for (let i = 1; i <= 20; i++) pack.entry({ name: `file${i}` }, String(i).padEnd(3000, "x"));
	pack.finalize();
	return Buffer.concat(await Array.fromAsync(pack as AsyncIterable<Buffer>));
}

/** The classic builder's seven instructions after FROM, two of them commands. */
export function buildBench(title: string, rounds: number, cache: boolean): Bench {
	let body: Buffer = Buffer.alloc(0);
	const run = async (engine: Engine) => {
		const query = `t=${NAME}&rm=1&version=1${cache ? "" : "&nocache=1"}`;
		const begin = performance.now();
		const reply = await fetch(`http://localhost/v1.43/build?${query}`, {
			method: "POST",
			unix: engine.socket,
			body: new Uint8Array(body),
			headers: { "Content-Type": "application/x-tar" },
		});
		const text = await reply.text();
		const milliseconds = performance.now() - begin;
		if (!text.includes("Successfully tagged")) throw new Error(`build: ${reply.status} ${text.slice(-300)}`);
		return milliseconds;
	};
	return {
		title,
		unit: "ms",
		better: "lower",
		rounds,
		goal: 0.7,
		async open() {
			body = await context();
		},
		prepare: async (engine) => void (await run(engine)),
		measure: run,
		cleanup: (engine) => removeImage(engine, NAME),
	};
}
