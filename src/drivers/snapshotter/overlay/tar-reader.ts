/**
 * One tar entry, its name not yet trusted. Names are byte strings (one character per byte, "latin1"): a tar does not say how they are encoded,
 * and Linux does not care.
 */
export interface LayerEntry {
	readonly name: string;
	readonly type: "file" | "directory" | "symlink" | "link" | "fifo" | "character-device" | "block-device";
	readonly mode: number;
	readonly uid: number;
	readonly gid: number;
	/** Since 1970: whole seconds, and nanoseconds 0 to 999,999,999 on top. */
	readonly mtime: { readonly seconds: number; readonly nanos: number };
	/** Byte string. */
	readonly linkname: string;
	readonly devmajor: number;
	readonly devminor: number;
	readonly xattrs: ReadonlyMap<string, Uint8Array>;
	/** Bytes of payload; 0 for all but files. */
	readonly size: number;
}

/** What a TarReader calls, in the order of the stream: every byte arrives once, in `raw` or in `payload`. */
export interface TarSink {
	/** Bytes that are no file's content: headers, padding, trailer. Only valid during the call. */
	raw(bytes: Uint8Array): void;
	/** A new entry, after its headers went to `raw`; true when its payload shall go to `payload`, else that goes to `raw` too. */
	begin(entry: LayerEntry): boolean;
	payload(bytes: Uint8Array): void;
	/** The payload of an entry for which `begin` returned true is complete. */
	finish(): void;
}

interface Extensions {
	path?: string;
	linkpath?: string;
	size?: number;
	uid?: number;
	gid?: number;
	mtime?: LayerEntry["mtime"];
	xattrs: Map<string, Uint8Array>;
}

const BLOCK = 512;
/** As Go's archive/tar: a header that says more is an attack. */
const EXTENSION_LIMIT = 1024 * 1024;
const NO_XATTRS: ReadonlyMap<string, Uint8Array> = new Map();
const XATTR = "SCHILY.xattr.";
const TYPES: Readonly<Record<string, LayerEntry["type"]>> = {
	"\0": "file",
	"0": "file",
	"7": "file",
	"1": "link",
	"2": "symlink",
	"3": "character-device",
	"4": "block-device",
	"5": "directory",
	"6": "fifo",
};

/**
 * Reads a tar (ustar, pax, GNU, v7) synchronously from chunks of any size, in one pass, without copying payload. It decides doubtful cases as Go's
 * archive/tar does, which is what dockerd sees. tar-stream takes twice the time per entry, and ruins binary attributes and names.
 */
export class TarReader {
	private readonly partial = Buffer.alloc(BLOCK);
	private filled = 0;
	/** What the next bytes are. */
	private state: "header" | "extension" | "payload" | "padding" | "trailer" = "header";
	private left = 0;
	private padding = 0;
	private toSink = false;
	private zeroBlocks = 0;
	private extension: { kind: "x" | "L" | "K" | "g"; bytes: Buffer; filled: number } | undefined;
	private pending: Extensions = { xattrs: new Map() };

	constructor(private readonly sink: TarSink) {}

	/** Throws for a damaged or unsupported tar, and what the sink throws. */
	push(chunk: Buffer): void {
		let at = 0;
		while (at < chunk.length) at = this.step(chunk, at);
	}

	/** Whether the two zero blocks that end a tar were read; some writers leave them out. */
	get hasEndMark(): boolean {
		return this.zeroBlocks === 2;
	}

	/** Call after the last chunk. Throws when the tar is cut. The last file's padding may be missing, as in contexts the docker CLI adds a Dockerfile to. */
	end(): void {
		const between =
			this.state === "trailer" ||
			(this.state === "padding" && !this.extension) ||
			(this.state === "header" && this.filled === 0 && !this.extension);
		if (!between) throw new Error("unexpected end of the tar");
	}

	private step(chunk: Buffer, at: number): number {
		if (this.state === "header") return this.header(chunk, at);
		const end = this.state === "trailer" ? chunk.length : Math.min(chunk.length, at + this.left);
		const bytes = chunk.subarray(at, end);
		if (this.state === "payload" && this.toSink) this.sink.payload(bytes);
		else this.sink.raw(bytes);
		if (this.state === "trailer") return end;
		if (this.state === "extension" && this.extension) {
			bytes.copy(this.extension.bytes, this.extension.filled);
			this.extension.filled += bytes.length;
		}
		this.left -= bytes.length;
		if (this.left === 0) this.advance();
		return end;
	}

	/** The part of the entry that was being read is complete. */
	private advance(): void {
		if (this.state === "extension" && this.extension) {
			const { kind, bytes } = this.extension;
			this.extension = undefined;
			this.extend(kind, bytes);
		} else if (this.state === "payload" && this.toSink) {
			this.sink.finish();
		}
		const padded = this.state !== "padding" && this.padding > 0;
		this.state = padded ? "padding" : "header";
		this.left = padded ? this.padding : 0;
	}

	private header(chunk: Buffer, at: number): number {
		if (this.filled === 0 && chunk.length - at >= BLOCK) {
			this.readHeader(chunk.subarray(at, at + BLOCK));
			return at + BLOCK;
		}
		const taken = Math.min(BLOCK - this.filled, chunk.length - at);
		chunk.copy(this.partial, this.filled, at, at + taken);
		this.filled += taken;
		if (this.filled === BLOCK) {
			this.filled = 0;
			this.readHeader(this.partial);
		}
		return at + taken;
	}

	private readHeader(block: Buffer): void {
		this.sink.raw(block);
		if (isZero(block)) {
			this.zeroBlocks++;
			if (this.zeroBlocks === 2) this.state = "trailer";
			return;
		}
		if (this.zeroBlocks > 0) throw new Error("damaged tar: an entry follows the end mark");
		checkSum(block);
		const size = numeric(block, 124, 12);
		const flag = String.fromCharCode(block[156] ?? 0);
		if (flag === "x" || flag === "g" || flag === "L" || flag === "K") this.startExtension(flag, size);
		else this.startEntry(block, flag, size);
	}

	private startEntry(block: Buffer, flag: string, size: number): void {
		const entry = entryOf(block, flag, size, this.pending);
		if (this.pending.xattrs.size > 0 || Object.keys(this.pending).length > 1) this.pending = { xattrs: new Map() };
		this.toSink = this.sink.begin(entry);
		this.expect("payload", entry.size);
		if (entry.size === 0 && this.toSink) this.sink.finish();
	}

	private startExtension(kind: "x" | "g" | "L" | "K", size: number): void {
		if (size > EXTENSION_LIMIT)
			throw new Error(`damaged tar: extended header of ${size} bytes, allowed are ${EXTENSION_LIMIT}`);
		this.extension = { kind, bytes: Buffer.alloc(size), filled: 0 };
		this.expect("extension", size);
		if (size === 0) this.extension = undefined;
	}

	private expect(state: "payload" | "extension", size: number): void {
		this.state = size > 0 ? state : "header";
		this.left = size;
		this.padding = (BLOCK - (size % BLOCK)) % BLOCK;
	}

	private extend(kind: "x" | "g" | "L" | "K", bytes: Buffer): void {
		if (kind === "L") this.pending.path = text(bytes, 0, bytes.length);
		else if (kind === "K") this.pending.linkpath = text(bytes, 0, bytes.length);
		else if (kind === "x") for (const [key, value] of paxRecords(bytes)) apply(this.pending, key, value);
	}
}

function entryOf(block: Buffer, flag: string, size: number, more: Extensions): LayerEntry {
	const name = more.path ?? nameOf(block);
	const known = TYPES[flag];
	if (!known)
		throw new Error(`tar entry ${JSON.stringify(readable(name))} has an unsupported type ${JSON.stringify(flag)}`);
	const type = flag === "\0" && name.endsWith("/") ? "directory" : known;
	return {
		name,
		type,
		mode: numeric(block, 100, 8) & 0o7777,
		uid: more.uid ?? numeric(block, 108, 8),
		gid: more.gid ?? numeric(block, 116, 8),
		mtime: more.mtime ?? { seconds: numeric(block, 136, 12), nanos: 0 },
		linkname: more.linkpath ?? text(block, 157, 100),
		devmajor: known.endsWith("device") ? numeric(block, 329, 8) : 0,
		devminor: known.endsWith("device") ? numeric(block, 337, 8) : 0,
		xattrs: more.xattrs.size > 0 ? more.xattrs : NO_XATTRS,
		// Go: only files have a body, whatever the header of another type says
		size: type === "file" ? (more.size ?? size) : 0,
	};
}

function nameOf(block: Buffer): string {
	const name = text(block, 0, 100);
	// POSIX ustar ("ustar\0") has a prefix; GNU's magic ("ustar ") has other things there. star's is shorter.
	const posix = block.toString("latin1", 257, 263) === "ustar\0";
	if (!posix || block[345] === 0) return name;
	const star = block.toString("latin1", 508, 512) === "tar\0";
	return `${text(block, 345, star ? 131 : 155)}/${name}`;
}

function apply(to: Extensions, key: string, value: Buffer): void {
	if (key.startsWith(XATTR)) to.xattrs.set(key.slice(XATTR.length), value);
	else if (key.startsWith("GNU.sparse.")) throw new Error("the tar has a sparse file, which is not supported");
	else if (key === "path" && value.length > 0) to.path = value.toString("latin1");
	else if (key === "linkpath" && value.length > 0) to.linkpath = value.toString("latin1");
	else if (key === "size" || key === "uid" || key === "gid") to[key] = decimal(key, value.toString("latin1"));
	else if (key === "mtime") to.mtime = time(value.toString("latin1"));
}

/** The records of a pax header: `<length> <key>=<value>\n` each, the length counting itself. Values are bytes. */
export function* paxRecords(bytes: Buffer): Generator<[key: string, value: Buffer]> {
	let at = 0;
	while (at < bytes.length && bytes[at] !== 0) {
		const space = bytes.indexOf(32, at);
		const length = space < 0 ? 0 : Number(bytes.toString("latin1", at, space));
		const end = at + length;
		const equals = bytes.indexOf(61, space);
		const sound =
			Number.isInteger(length) && end <= bytes.length && equals > space && equals < end && bytes[end - 1] === 10;
		if (!sound || length <= 0) throw new Error("damaged tar: pax header cannot be read");
		// Not utf8Slice: keys of attributes may hold any byte too
		yield [bytes.toString("latin1", space + 1, equals), Buffer.from(bytes.subarray(equals + 1, end - 1))];
		at = end;
	}
}

function decimal(key: string, value: string): number {
	const number = Number(value);
	if (value === "" || !Number.isSafeInteger(number) || number < 0)
		throw new Error(`damaged tar: pax record ${key}=${JSON.stringify(value)} is no number`);
	return number;
}

function time(value: string): LayerEntry["mtime"] {
	const match = /^(-?)(\d{1,15})(?:\.(\d*))?$/.exec(value);
	if (!match) throw new Error(`damaged tar: pax record mtime=${JSON.stringify(value)} is no time`);
	const seconds = Number(match[2]);
	const nanos = Number((match[3] ?? "").slice(0, 9).padEnd(9, "0"));
	if (!match[1]) return { seconds, nanos };
	return nanos === 0 ? { seconds: -seconds, nanos } : { seconds: -seconds - 1, nanos: 1e9 - nanos };
}

/** A numeric field: octal text, or (first bit set) a two's complement number, big endian. */
function numeric(block: Buffer, at: number, length: number): number {
	const first = block[at] ?? 0;
	if (first & 0x80) return binary(block, at, length);
	let value = 0;
	let i = at;
	const end = at + length;
	while (i < end && (block[i] === 32 || block[i] === 0)) i++;
	for (; i < end; i++) {
		const byte = block[i] ?? 0;
		if (byte === 32 || byte === 0) break;
		if (byte < 48 || byte > 55) throw new Error("damaged tar: a number in a header is not octal");
		value = value * 8 + byte - 48;
	}
	return value;
}

function binary(block: Buffer, at: number, length: number): number {
	const negative = ((block[at] ?? 0) & 0x40) !== 0;
	let value = negative ? -1n : 0n;
	for (let i = 0; i < length; i++) {
		const byte = block[at + i] ?? 0;
		value = (value << 8n) | BigInt(i === 0 && !negative ? byte & 0x7f : byte);
	}
	const number = Number(value);
	if (!Number.isSafeInteger(number)) throw new Error("damaged tar: a number in a header is too large");
	return number;
}

function checkSum(block: Buffer): void {
	let unsigned = 8 * 32;
	let signed = 8 * 32;
	for (let i = 0; i < BLOCK; i++) {
		if (i === 148) i = 156;
		const byte = block[i] ?? 0;
		unsigned += byte;
		signed += byte < 128 ? byte : byte - 256;
	}
	const said = numeric(block, 148, 8);
	if (said !== unsigned && said !== signed) throw new Error("invalid tar header: its checksum is wrong");
}

function isZero(block: Buffer): boolean {
	for (let i = 0; i < BLOCK; i++) if (block[i] !== 0) return false;
	return true;
}

/** A NUL-terminated byte string. */
function text(block: Buffer, at: number, length: number): string {
	const end = block.indexOf(0, at);
	return block.toString("latin1", at, end < 0 || end > at + length ? at + length : end);
}

/** A byte string as people read it. */
export function readable(name: string): string {
	return Buffer.from(name, "latin1").toString();
}
