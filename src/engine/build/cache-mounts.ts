import {
	chmodSync,
	chownSync,
	existsSync,
	mkdirSync,
	readdirSync,
	readFileSync,
	renameSync,
	writeFileSync,
} from "node:fs";
import { digestOf } from "../../oci/digest.ts";
import { createId } from "../../shared/id.ts";
import { nowNano } from "../../shared/time.ts";

/** What tells one `RUN --mount=type=cache` from another. */
export interface CacheIdentity {
	readonly id: string;
	/** What it begins with: an image's id and a path in it; "" for nothing. */
	readonly base: string;
	readonly mode: number;
	readonly uid: number;
	readonly gid: number;
}

export type Sharing = "shared" | "private" | "locked";

/** One cache on disk. */
export interface CacheRecord {
	/** Name of its directory: docker shows it as the id. */
	readonly name: string;
	/** Digest of its identity. */
	readonly key: string;
	readonly description: string;
	/** RFC 3339. */
	readonly created: string;
	readonly lastUsed: string;
	readonly usageCount: number;
}

export interface LeasedCache extends Disposable {
	/** Its files. */
	readonly directory: string;
}

interface Use {
	readonly sharing: Sharing;
	count: number;
}

/**
 * Directories that commands of builds keep between builds. Below `root` (absolute):
 *   NAME/data        the files, as commands see them
 *   NAME/cache.json  the CacheRecord; without it the directory was never finished, and is swept at `open`
 */
export class CacheMounts {
	private readonly used = new Map<string, Use>();
	private readonly making = new Map<string, Promise<unknown>>();
	private released = Promise.withResolvers<void>();

	constructor(
		private readonly root: string,
		private readonly discard: (directory: string) => Promise<void>,
	) {}

	/** Sweeps what a crash left. */
	open(): void {
		const whole = new Set(this.list().map(({ name }) => name));
		for (const name of namesIn(this.root)) if (!whole.has(name)) void this.discard(`${this.root}/${name}`);
	}

	list(): CacheRecord[] {
		return namesIn(this.root).flatMap((name) => read(`${this.root}/${name}/cache.json`) ?? []);
	}

	directoryOf({ name }: CacheRecord): string {
		return `${this.root}/${name}/data`;
	}

	isUsed({ name }: CacheRecord): boolean {
		return this.used.has(name);
	}

	/** A cache for one command: shared ones may serve several at once, private ones are another when in use, locked ones are waited for. */
	async lease(
		identity: CacheIdentity,
		sharing: Sharing,
		description: string,
		signal: AbortSignal,
		fill: (directory: string) => Promise<void>,
	): Promise<LeasedCache> {
		const key = digestOf(JSON.stringify(identity));
		for (;;) {
			// Whoever comes while it is made shares it, or waits for it, as if it had been there.
			for (let made = this.making.get(key); made; made = this.making.get(key)) await made.catch(() => undefined);
			signal.throwIfAborted();
			const known = this.list().filter((one) => one.key === key);
			const free = known.find((one) => this.mayUse(one, sharing));
			if (free) return this.take(free, sharing);
			if (sharing !== "locked" || known.length === 0) {
				const made = this.make(identity, key, description);
				const taken = fill(this.directoryOf(made))
					.then(() => this.take(made, sharing))
					.catch(async (error: unknown) => {
						await this.discard(`${this.root}/${made.name}`);
						throw error;
					})
					.finally(() => this.making.delete(key));
				this.making.set(key, taken);
				return await taken;
			}
			await Promise.race([this.released.promise, aborted(signal)]);
		}
	}

	/** Deletes those that no command uses and `accepts` holds for; which they were. */
	async prune(accepts: (cache: CacheRecord) => boolean): Promise<CacheRecord[]> {
		const gone = this.list().filter((one) => !this.isUsed(one) && accepts(one));
		for (const { name } of gone) {
			// Out of the way at once: a command that comes now gets a new one.
			const trash = `${this.root}/gone-${createId()}`;
			renameSync(`${this.root}/${name}`, trash);
			renameSync(`${trash}/cache.json`, `${trash}/gone.json`);
			await this.discard(trash);
		}
		return gone;
	}

	private mayUse({ name }: CacheRecord, sharing: Sharing): boolean {
		const use = this.used.get(name);
		return use === undefined || (use.sharing === "shared" && sharing === "shared");
	}

	private make(identity: CacheIdentity, key: string, description: string): CacheRecord {
		const name = createId().slice(0, 25);
		const record = { name, key, description, created: nowNano(), lastUsed: nowNano(), usageCount: 0 };
		const data = this.directoryOf(record);
		mkdirSync(data, { recursive: true, mode: 0o711 });
		chownSync(data, identity.uid, identity.gid);
		chmodSync(data, identity.mode);
		return record;
	}

	private take(record: CacheRecord, sharing: Sharing): LeasedCache {
		const use = this.used.get(record.name) ?? { sharing, count: 0 };
		use.count++;
		this.used.set(record.name, use);
		write(`${this.root}/${record.name}/cache.json`, {
			...record,
			lastUsed: nowNano(),
			usageCount: record.usageCount + 1,
		});
		return {
			directory: this.directoryOf(record),
			[Symbol.dispose]: () => this.release(record.name, use),
		};
	}

	private release(name: string, use: Use): void {
		if (--use.count > 0) return;
		this.used.delete(name);
		this.released.resolve();
		this.released = Promise.withResolvers<void>();
	}
}

function namesIn(directory: string): string[] {
	return existsSync(directory) ? readdirSync(directory).sort() : [];
}

function read(path: string): CacheRecord | undefined {
	try {
		return JSON.parse(readFileSync(path, "utf8")) as CacheRecord;
	} catch {
		// Not finished, or gone meanwhile.
		return undefined;
	}
}

function write(path: string, record: CacheRecord): void {
	writeFileSync(`${path}.tmp`, JSON.stringify(record), { mode: 0o600 });
	renameSync(`${path}.tmp`, path);
}

function aborted(signal: AbortSignal): Promise<never> {
	return new Promise((_, reject) =>
		signal.addEventListener("abort", () => reject(signal.reason as Error), { once: true }),
	);
}
