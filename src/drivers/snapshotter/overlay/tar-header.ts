import type { LayerEntry } from "./tar-reader.ts";

const BLOCK = 512;
const MAX_OCTAL = { 8: 0o7777777, 12: 0o77777777777 } as const;
const FLAGS: Readonly<Record<LayerEntry["type"], string>> = {
	file: "0",
	link: "1",
	symlink: "2",
	"character-device": "3",
	"block-device": "4",
	directory: "5",
	fifo: "6",
};

/** The header blocks of one entry: ustar, after a pax header when that cannot hold all. tar-stream cannot write attributes that are not text. */
export function tarHeader(entry: LayerEntry): Buffer {
	const records: Buffer[] = [];
	const name = entry.type === "directory" && !entry.name.endsWith("/") ? `${entry.name}/` : entry.name;
	const parts = splitName(name);
	if (!parts) records.push(paxRecord("path", Buffer.from(name, "latin1")));
	if (entry.linkname.length > 100 || !isAscii(entry.linkname))
		records.push(paxRecord("linkpath", Buffer.from(entry.linkname, "latin1")));
	for (const key of ["size", "uid", "gid"] as const) {
		if (entry[key] > MAX_OCTAL[key === "size" ? 12 : 8]) records.push(paxRecord(key, Buffer.from(String(entry[key]))));
	}
	const { seconds, nanos } = entry.mtime;
	if (nanos !== 0 || seconds < 0 || seconds > MAX_OCTAL[12])
		records.push(paxRecord("mtime", Buffer.from(timeText(entry.mtime))));
	for (const [key, value] of entry.xattrs) records.push(paxRecord(`SCHILY.xattr.${key}`, value));
	const own = headerBlock({ ...entry, ...(parts ?? { prefix: "", name: name.slice(0, 100) }) }, FLAGS[entry.type]);
	if (records.length === 0) return own;
	const body = Buffer.concat(records);
	const pax = {
		...entry,
		prefix: "",
		name: "PaxHeaders/entry",
		size: body.length,
		linkname: "",
		mode: 0o644,
		uid: 0,
		gid: 0,
	};
	const padding = Buffer.alloc((BLOCK - (body.length % BLOCK)) % BLOCK);
	return Buffer.concat([headerBlock(pax, "x"), body, padding, own]);
}

/** Two zero blocks. */
export const TAR_END = Buffer.alloc(2 * BLOCK);

/** Zeros after a payload of `size` bytes. */
export function tarPadding(size: number): Buffer {
	return TAR_END.subarray(0, (BLOCK - (size % BLOCK)) % BLOCK);
}

function headerBlock(entry: LayerEntry & { prefix: string }, flag: string): Buffer {
	const block = Buffer.alloc(BLOCK);
	block.write(entry.name, 0, 100, "latin1");
	octal(block, 100, 8, entry.mode);
	octal(block, 108, 8, Math.min(entry.uid, MAX_OCTAL[8]));
	octal(block, 116, 8, Math.min(entry.gid, MAX_OCTAL[8]));
	octal(block, 124, 12, Math.min(entry.size, MAX_OCTAL[12]));
	octal(block, 136, 12, Math.min(Math.max(entry.mtime.seconds, 0), MAX_OCTAL[12]));
	block.write(flag, 156, "latin1");
	block.write(entry.linkname.slice(0, 100), 157, "latin1");
	block.write("ustar\x0000", 257, "latin1");
	octal(block, 329, 8, entry.devmajor);
	octal(block, 337, 8, entry.devminor);
	block.write(entry.prefix, 345, 155, "latin1");
	block.fill(" ", 148, 156);
	const sum = block.reduce((total, byte) => total + byte, 0);
	block.write(`${sum.toString(8).padStart(6, "0")}\0 `, 148, "latin1");
	return block;
}

/** As ustar's name and prefix; undefined when it does not fit. */
function splitName(name: string): { name: string; prefix: string } | undefined {
	if (!isAscii(name)) return undefined;
	if (name.length <= 100) return { name, prefix: "" };
	const slash = name.indexOf("/", name.length - 101);
	if (slash <= 0 || slash > 155 || slash === name.length - 1) return undefined;
	return { prefix: name.slice(0, slash), name: name.slice(slash + 1) };
}

/** Printable: whatever reads the tar may take other bytes of a ustar name for another encoding. */
function isAscii(text: string): boolean {
	return /^[ -~]*$/.test(text);
}

function octal(block: Buffer, at: number, length: number, value: number): void {
	block.write(value.toString(8).padStart(length - 1, "0"), at, length - 1, "latin1");
}

function paxRecord(key: string, value: Uint8Array): Buffer {
	const rest = Buffer.concat([Buffer.from(` ${key}=`, "latin1"), value, Buffer.from("\n")]);
	let length = rest.length;
	while (length !== rest.length + String(length).length) length = rest.length + String(length).length;
	return Buffer.concat([Buffer.from(String(length)), rest]);
}

function timeText({ seconds, nanos }: LayerEntry["mtime"]): string {
	const total = BigInt(seconds) * 1_000_000_000n + BigInt(nanos);
	const absolute = total < 0n ? -total : total;
	const fraction = String(absolute % 1_000_000_000n)
		.padStart(9, "0")
		.replace(/0+$/, "");
	return `${total < 0n ? "-" : ""}${absolute / 1_000_000_000n}${fraction === "" ? "" : `.${fraction}`}`;
}
