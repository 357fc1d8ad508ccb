import { Readable, type Transform } from "node:stream";
import { createGunzip, createZstdDecompress } from "node:zlib";

const MAGICS: readonly (readonly [Compression, readonly number[]])[] = [
	["gzip", [0x1f, 0x8b]],
	["bzip2", [0x42, 0x5a, 0x68]],
	["xz", [0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00]],
	["zstd", [0x28, 0xb5, 0x2f, 0xfd]],
];

export type Compression = "gzip" | "bzip2" | "xz" | "zstd";

/** How the bytes are compressed, by their first six; undefined: not at all. */
export function compressionOf(head: Uint8Array): Compression | undefined {
	return MAGICS.find(([, magic]) => magic.every((byte, i) => head[i] === byte))?.[0];
}

/** The plain bytes, off the event loop: gzip and zstd on other threads, xz and bzip2 by the programs of that name. Only as much is read ahead as a window holds. */
export async function* decompress(source: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
	const iterator = source[Symbol.asyncIterator]();
	try {
		const head: Uint8Array[] = [];
		let length = 0;
		while (length < 6) {
			const { done, value } = await iterator.next();
			if (done) break;
			head.push(value);
			length += value.length;
		}
		const compression = compressionOf(Buffer.concat(head));
		const all = join(head, iterator);
		if (compression === undefined) yield* all;
		else if (compression === "gzip") yield* through(all, createGunzip());
		else if (compression === "zstd") yield* through(all, createZstdDecompress());
		else yield* throughProgram(all, compression);
	} finally {
		await iterator.return?.();
	}
}

async function* join(head: Uint8Array[], rest: AsyncIterator<Uint8Array>): AsyncGenerator<Uint8Array> {
	yield* head;
	for (let next = await rest.next(); !next.done; next = await rest.next()) yield next.value;
}

async function* through(source: AsyncIterable<Uint8Array>, transform: Transform): AsyncGenerator<Uint8Array> {
	const input = Readable.from(source, { objectMode: false });
	input.on("error", (error) => transform.destroy(error));
	input.pipe(transform);
	try {
		for await (const chunk of transform) yield chunk as Buffer;
	} finally {
		input.destroy();
		transform.destroy();
	}
}

async function* throughProgram(source: AsyncIterable<Uint8Array>, program: string): AsyncGenerator<Uint8Array> {
	const child = Bun.spawn([program, "-dc"], {
		env: { PATH: "/usr/sbin:/usr/bin:/sbin:/bin" },
		stdin: "pipe",
		stdout: "pipe",
		stderr: "pipe",
	});
	const errors = new Response(child.stderr).text();
	const feed = (async () => {
		try {
			for await (const chunk of source) {
				child.stdin.write(chunk);
				await child.stdin.flush();
			}
		} finally {
			await child.stdin.end();
		}
	})();
	feed.catch(() => child.kill("SIGKILL"));
	try {
		for await (const chunk of child.stdout) yield chunk;
		await feed;
		if ((await child.exited) !== 0) throw new Error((await errors).trim() || `${program} failed`);
	} finally {
		child.kill("SIGKILL");
	}
}
