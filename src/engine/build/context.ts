import { createHash, type Hash } from "node:crypto";
import type { BuildFiles, Source } from "./files.ts";

/** A build's context: what COPY copies from. Unpacked when its files are first needed, which a build from the cache never does. */
export interface BuildContext {
	/** Directory of its files. */
	root(): Promise<string>;
	/** BuildFiles.find in it; what is known of the same context is not looked for again. */
	find(pattern: string, exclude?: readonly string[]): Promise<Source[]>;
	/** No more than these paths will be needed, wildcards allowed; none: all may be. Of a client's directory; from the next call on. */
	readonly follow?: (paths: readonly string[]) => void;
}

/** What an earlier build learnt of a context with the same bytes. */
export interface KnownContext {
	dockerfile?: string;
	readonly sources: Map<string, Source[]>;
}

/** Contexts up to this size are held in memory until they are needed on disk. Bytes. */
const SMALL = 1 << 20;
const REMEMBERED = 64;

/** The last contexts, by the digest of their bytes and the name of the Dockerfile, which may be taken out of them. */
export class KnownContexts {
	private readonly known = new Map<string, KnownContext>();

	of(key: string): KnownContext {
		const found = this.known.get(key) ?? { sources: new Map() };
		// The one used last stays longest.
		this.known.delete(key);
		this.known.set(key, found);
		const oldest = this.known.size > REMEMBERED ? this.known.keys().next().value : undefined;
		if (oldest !== undefined) this.known.delete(oldest);
		return found;
	}
}

/**
 * Begins to read a body: a small one to its end, so that what is known of it can be found by its digest; a large one has none, and is unpacked
 * as it comes. `body` is read once.
 */
export async function takeIn(
	body: AsyncIterable<Uint8Array>,
): Promise<{ readonly body: AsyncIterable<Uint8Array>; readonly digest?: string }> {
	const hash = createHash("sha256");
	const iterator = hashed(body, hash);
	const seen: Uint8Array[] = [];
	for (let size = 0; size <= SMALL; ) {
		const next = await iterator.next();
		if (next.done) return { body: all(seen), digest: hash.digest("hex") };
		seen.push(next.value);
		size += next.value.length;
	}
	return { body: all(seen, iterator) };
}

async function* hashed(body: AsyncIterable<Uint8Array>, hash: Hash): AsyncGenerator<Uint8Array> {
	let size = 0;
	for await (const chunk of body) {
		size += chunk.length;
		if (size <= SMALL) hash.update(chunk);
		yield chunk;
	}
}

async function* all(seen: readonly Uint8Array[], rest?: AsyncIterator<Uint8Array>): AsyncGenerator<Uint8Array> {
	try {
		yield* seen;
		if (rest) for (let next = await rest.next(); !next.done; next = await rest.next()) yield next.value;
	} finally {
		await rest?.return?.();
	}
}

/** @param open makes the directory and says where it is; called once at most */
export function contextOf(files: BuildFiles, open: () => Promise<string>, known: KnownContext): BuildContext {
	let opened: Promise<string> | undefined;
	const root = () => {
		opened ??= open();
		return opened;
	};
	return {
		root,
		async find(pattern, exclude = []) {
			const key = exclude.length === 0 ? pattern : JSON.stringify([pattern, exclude]);
			const found = known.sources.get(key) ?? (await files.find(await root(), pattern, exclude));
			known.sources.set(key, found);
			return found;
		},
	};
}
