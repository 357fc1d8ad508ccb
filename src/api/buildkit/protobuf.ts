/**
 * Messages of protocol buffers, as data: `message({ Ref: field(1, string) })` reads and writes them, and its type is inferred. Proto3: what is
 * empty is not written, unknown fields are skipped, the last value wins. Source: protobuf.dev, "Encoding".
 */
export interface Codec<T> {
	encode(value: Partial<T>): Uint8Array;
	/** Throws RangeError for bytes that are no message. */
	decode(bytes: Uint8Array): T;
}

export type Decoded<C> = C extends Codec<infer T> ? T : never;

/** How one value stands on the wire: a varint or bytes with their length. */
export interface Kind<T> {
	readonly wire: typeof VARINT | typeof BYTES;
	readonly empty: T;
	isEmpty(value: T): boolean;
	write(out: Writer, value: T): void;
	read(from: Reader): T;
}

interface Field<T> {
	readonly number: number;
	/** The value before any was read. */
	initial(): T;
	write(out: Writer, value: T): void;
	/** @param wire as in the tag */
	read(from: Reader, wire: number, before: T): T;
}

const VARINT = 0;
const FIXED64 = 1;
const BYTES = 2;
const FIXED32 = 5;

class Writer {
	private bytes = new Uint8Array(64);
	private length = 0;

	varint(value: bigint | number): void {
		if (typeof value === "number" && value >= 0 && value < 0x80) return void this.push(value);
		let left = BigInt.asUintN(64, BigInt(value));
		for (; left >= 0x80n; left >>= 7n) this.push(Number(left & 0x7fn) | 0x80);
		this.push(Number(left));
	}

	raw(data: Uint8Array): void {
		this.reserve(data.length);
		this.bytes.set(data, this.length);
		this.length += data.length;
	}

	delimited(data: Uint8Array): void {
		this.varint(data.length);
		this.raw(data);
	}

	done(): Uint8Array {
		return this.bytes.subarray(0, this.length);
	}

	private push(byte: number): void {
		this.reserve(1);
		this.bytes[this.length++] = byte;
	}

	private reserve(more: number): void {
		if (this.length + more <= this.bytes.length) return;
		const larger = new Uint8Array(Math.max(this.bytes.length * 2, this.length + more));
		larger.set(this.bytes.subarray(0, this.length));
		this.bytes = larger;
	}
}

class Reader {
	private at = 0;

	constructor(private readonly bytes: Uint8Array) {}

	get ended(): boolean {
		return this.at >= this.bytes.length;
	}

	varint(): bigint {
		let value = 0n;
		for (let shift = 0n; shift < 70n; shift += 7n) {
			const byte = this.byte();
			value |= BigInt(byte & 0x7f) << shift;
			if (byte < 0x80) return BigInt.asUintN(64, value);
		}
		throw new RangeError("malformed message: number without an end");
	}

	/** Of a length or tag: below 2^32. */
	small(): number {
		const first = this.bytes[this.at];
		if (first !== undefined && first < 0x80) {
			this.at++;
			return first;
		}
		return Number(BigInt.asUintN(32, this.varint()));
	}

	delimited(): Uint8Array {
		const length = this.small();
		const end = this.at + length;
		if (end > this.bytes.length) throw new RangeError("malformed message: it ends too early");
		const found = this.bytes.subarray(this.at, end);
		this.at = end;
		return found;
	}

	skip(wire: number): void {
		if (wire === VARINT) this.varint();
		else if (wire === BYTES) this.delimited();
		else if (wire === FIXED64 || wire === FIXED32) this.at += wire === FIXED64 ? 8 : 4;
		else throw new RangeError(`malformed message: unknown wire type ${wire}`);
	}

	private byte(): number {
		const byte = this.bytes[this.at++];
		if (byte === undefined) throw new RangeError("malformed message: it ends too early");
		return byte;
	}
}

export const string: Kind<string> = {
	wire: BYTES,
	empty: "",
	isEmpty: (value) => value === "",
	write: (out, value) => out.delimited(Buffer.from(value)),
	read: (from) => Buffer.from(from.delimited()).toString(),
};

/** A view of the message that was decoded, not a copy. */
export const bytes: Kind<Uint8Array> = {
	wire: BYTES,
	empty: new Uint8Array(0),
	isEmpty: (value) => value.length === 0,
	write: (out, value) => out.delimited(value),
	read: (from) => from.delimited(),
};

export const boolean: Kind<boolean> = {
	wire: VARINT,
	empty: false,
	isEmpty: (value) => !value,
	write: (out) => out.varint(1),
	read: (from) => from.varint() !== 0n,
};

/** int32, uint32, int64 and enums whose values a number holds exactly. */
export const integer: Kind<number> = {
	wire: VARINT,
	empty: 0,
	isEmpty: (value) => value === 0,
	write: (out, value) => out.varint(value),
	read: (from) => Number(BigInt.asIntN(64, from.varint())),
};

/** int64 to its last digit: nanoseconds. */
export const long: Kind<bigint> = {
	wire: VARINT,
	empty: 0n,
	isEmpty: (value) => value === 0n,
	write: (out, value) => out.varint(value),
	read: (from) => BigInt.asIntN(64, from.varint()),
};

/** A message in a message, when it always is there. */
export function nested<T>(codec: Codec<T>): Kind<T> {
	return {
		wire: BYTES,
		empty: codec.decode(new Uint8Array(0)),
		isEmpty: () => false,
		write: (out, value) => out.delimited(codec.encode(value as Partial<T>)),
		read: (from) => codec.decode(from.delimited()),
	};
}

export function field<T>(number: number, kind: Kind<T>): Field<T> {
	return {
		number,
		initial: () => kind.empty,
		write: (out, value) => {
			if (!kind.isEmpty(value)) writeOne(out, number, kind, value);
		},
		read: (from, wire) => readOne(from, wire, kind),
	};
}

/** A message, or undefined when there is none; also the arms of a oneof. */
export function optional<T>(number: number, codec: Codec<T>): Field<T | undefined> {
	const kind = nested(codec);
	return {
		number,
		initial: () => undefined,
		write: (out, value) => {
			if (value !== undefined) writeOne(out, number, kind, value);
		},
		read: (from, wire) => readOne(from, wire, kind),
	};
}

export function repeated<T>(number: number, kind: Kind<T>): Field<readonly T[]> {
	return {
		number,
		initial: () => [],
		write: (out, values) => {
			for (const value of values) writeOne(out, number, kind, value);
		},
		read: (from, wire, before) => {
			// The list of this very message, from `initial`: a new one each time would take the square of its length.
			const all = before as T[];
			if (kind.wire !== VARINT || wire !== BYTES) {
				all.push(readOne(from, wire, kind));
				return all;
			}
			const packed = new Reader(from.delimited());
			while (!packed.ended) all.push(kind.read(packed));
			return all;
		},
	};
}

/** map<string, T> */
export function map<T>(number: number, kind: Kind<T>): Field<ReadonlyMap<string, T>> {
	const entry = message({ key: field(1, string), value: field(2, kind) });
	return {
		number,
		initial: () => new Map(),
		write: (out, values) => {
			for (const [key, value] of values) writeOne(out, number, nested(entry), { key, value });
		},
		read: (from, wire, before) => {
			const { key, value } = readOne(from, wire, nested(entry));
			return (before as Map<string, T>).set(key, value);
		},
	};
}

// biome-ignore lint/suspicious/noExplicitAny: a field of any type; each field's own type is inferred from it below
type Fields = Readonly<Record<string, Field<any>>>;
type ValueOf<F> = F extends Field<infer T> ? T : never;
type Message<F extends Fields> = { readonly [K in keyof F]: ValueOf<F[K]> };

export function message<F extends Fields>(fields: F): Codec<Message<F>> {
	const byNumber = new Map(Object.entries(fields).map(([name, one]) => [one.number, { name, one }]));
	return {
		encode(value) {
			const out = new Writer();
			for (const [name, one] of Object.entries(fields)) {
				const given = value[name];
				if (given !== undefined) one.write(out, given);
			}
			return out.done();
		},
		decode(data) {
			const found: Record<string, unknown> = {};
			for (const [name, one] of Object.entries(fields)) found[name] = one.initial();
			const from = new Reader(data);
			while (!from.ended) {
				const tag = from.small();
				const known = byNumber.get(tag >>> 3);
				if (known) found[known.name] = known.one.read(from, tag & 7, found[known.name]);
				else from.skip(tag & 7);
			}
			return found as Message<F>;
		},
	};
}

function writeOne<T>(out: Writer, number: number, kind: Kind<T>, value: T): void {
	out.varint((number << 3) | kind.wire);
	kind.write(out, value);
}

function readOne<T>(from: Reader, wire: number, kind: Kind<T>): T {
	if (wire !== kind.wire) throw new RangeError(`malformed message: wire type ${wire} where ${kind.wire} is expected`);
	return kind.read(from);
}
