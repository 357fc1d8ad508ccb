import { afterAll, expect, test } from "bun:test";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseNano } from "../../../shared/time.ts";
import type { LogReadOptions } from "../driver.ts";
import { createLogReader } from "../files/reader.ts";
import { openJsonFileLog } from "./writer.ts";

const root = mkdtempSync(join(tmpdir(), "json-file-"));
afterAll(() => rmSync(root, { recursive: true, force: true }));
const reader = createLogReader();
const RAW: LogReadOptions = { stdout: true, stderr: true, raw: true, timestamps: false, follow: false };

async function text(path: string, options: Partial<LogReadOptions> = {}): Promise<string> {
	const chunks: Uint8Array[] = [];
	for await (const chunk of reader.read(path, { ...RAW, ...options }, new AbortController().signal)) chunks.push(chunk);
	return Buffer.concat(chunks).toString();
}

async function written(name: string, ...chunks: (string | Uint8Array)[]): Promise<string> {
	const path = join(root, name);
	const log = openJsonFileLog({ path, maxSize: 0, maxFiles: 1 });
	for (const chunk of chunks) await log.write("stdout", typeof chunk === "string" ? Buffer.from(chunk) : chunk);
	await log.close();
	return path;
}

test("writer: docker's form, one entry a line, the last without newline too", async () => {
	const path = await written("form", 'a "quoted" <b> & \\n tab\t\nsecond\npart', "ial");
	const lines = readFileSync(path, "utf8")
		.replace(/\d{4}-[^"]*Z/g, "T")
		.split("\n");
	expect(lines).toEqual([
		'{"log":"a \\"quoted\\" \\u003cb\\u003e \\u0026 \\\\n tab\\u0009\\n","stream":"stdout","time":"T"}',
		'{"log":"second\\n","stream":"stdout","time":"T"}',
		'{"log":"partial","stream":"stdout","time":"T"}',
		"",
	]);
});

test("writer: a long line is cut into entries of 16 KiB, no character is cut", async () => {
	const line = `x${"é".repeat(20_000)}\n`;
	const path = await written("long", line);
	const entries = readFileSync(path, "utf8")
		.trimEnd()
		.split("\n")
		.map((each) => (JSON.parse(each) as { log: string }).log);
	expect(entries.map((entry) => Buffer.byteLength(entry))).toEqual([16383, 16384, 7235]);
	expect(entries.join("")).toBe(line);
});

test("writer: a character split over chunks is whole, invalid bytes become U+FFFD", async () => {
	const bytes = Buffer.from("é€\n");
	const path = await written(
		"utf8",
		bytes.subarray(0, 1),
		bytes.subarray(1, 3),
		bytes.subarray(3),
		new Uint8Array([0xff, 10]),
	);
	expect(await text(path)).toBe("é€\n\ufffd\n");
});

test("writer: rotation keeps maxFiles, the reader goes over all of them in order", async () => {
	const path = join(root, "rotate");
	const log = openJsonFileLog({ path, maxSize: 2000, maxFiles: 3 });
	for (let i = 0; i < 100; i++) await log.write("stdout", Buffer.from(`line ${i}\n`));
	await log.close();
	expect([existsSync(`${path}.1`), existsSync(`${path}.2`), existsSync(`${path}.3`)]).toEqual([true, true, false]);
	const lines = (await text(path)).trimEnd().split("\n");
	expect(lines.at(-1)).toBe("line 99");
	expect(lines).toEqual(Array.from({ length: lines.length }, (_, i) => `line ${100 - lines.length + i}`));
	expect((await text(path, { tail: 40 })).trimEnd().split("\n")).toEqual(lines.slice(-40));
});

test("reader: streams, frames, tail, timestamps and time range", async () => {
	const path = join(root, "options");
	const log = openJsonFileLog({ path, maxSize: 0, maxFiles: 1 });
	for (const [stream, line] of [
		["stdout", "one\n"],
		["stderr", "two\n"],
		["stdout", "three\n"],
	] as const) {
		await log.write(stream, Buffer.from(line));
		await Bun.sleep(2);
	}
	await log.close();
	expect(await text(path)).toBe("one\ntwo\nthree\n");
	expect(await text(path, { stderr: false })).toBe("one\nthree\n");
	expect(await text(path, { tail: 2 })).toBe("two\nthree\n");
	expect(await text(path, { tail: 0 })).toBe("");
	expect(await text(path, { raw: false, tail: 1 })).toBe("\u0001\0\0\0\0\0\0\u0006three\n");
	const detailed = await text(path, { details: true });
	expect(detailed.replaceAll(/^ /gm, "")).toBe(await text(path));
	expect(detailed.split("\n").every((line) => line === "" || line.startsWith(" "))).toBe(true);
	const stamps = (await text(path, { timestamps: true })).split("\n").map((line) => line.split(" ")[0] ?? "");
	expect(stamps[1]).toMatch(/^\d{4}-\d\d-\d\dT.*Z$/);
	const second = BigInt(Date.parse((stamps[1] ?? "").replace(/\.(\d{3})\d*Z/, ".$1Z"))) * 1_000_000n;
	expect(await text(path, { since: second })).toBe("two\nthree\n");
	expect(await text(path, { until: second })).toBe("one\n");
});

test("reader: follow sees later lines and rotations, and ends with the writer", async () => {
	const path = join(root, "follow");
	const log = openJsonFileLog({ path, maxSize: 5000, maxFiles: 50 });
	let end: () => void = () => {};
	const ended = new Promise<void>((resolve) => {
		end = resolve;
	});
	const read = text(path, { follow: true, ended });
	for (let i = 0; i < 300; i++) {
		await log.write("stdout", Buffer.from(`line ${i}\n`));
		if (i % 10 === 0) await Bun.sleep(1);
	}
	await log.close();
	end();
	expect((await read).trimEnd().split("\n")).toEqual(Array.from({ length: 300 }, (_, i) => `line ${i}`));
});

test("a mix of long runs, both streams and backslashes reads back as it was written", async () => {
	const path = join(root, "mix");
	const log = openJsonFileLog({ path, maxSize: 0, maxFiles: 1 });
	let expected = "";
	for (let i = 0; i < 300; i++) {
		const chunk = i % 7 === 0 ? `back\\slash ${i}\n` : `${`line "${i}" abc\n`.repeat(1 + ((i * 37) % 400))}`;
		expected += chunk;
		await log.write(i % 3 === 0 ? "stderr" : "stdout", Buffer.from(chunk));
	}
	await log.write("stdout", Buffer.from(`${"long".repeat(10_000)}\nshort\n`));
	expected += `${"long".repeat(10_000)}\nshort\n`;
	await log.close();
	expect(await text(path)).toBe(expected);
	const entries = readFileSync(path, "utf8")
		.trimEnd()
		.split("\n")
		.map((line) => JSON.parse(line) as { log: string; time: string });
	const stamped = (some: typeof entries) => some.map(({ log, time }) => `${time} ${log}`).join("");
	expect(await text(path, { timestamps: true })).toBe(stamped(entries));
	const since = entries[Math.floor(entries.length / 3)]?.time ?? "";
	const until = entries[Math.floor(entries.length / 2)]?.time ?? "";
	expect(await text(path, { timestamps: true, since: parseNano(since), until: parseNano(until) })).toBe(
		stamped(entries.filter(({ time }) => time >= since && time <= until)),
	);
	await reader.remove(path);
	expect(existsSync(path)).toBe(false);
});

test("reader: each line is a frame of its own, lines of one time and the last without its newline too", async () => {
	const path = await written("frames", "first\nsecond\n\nlast");
	for (const timestamps of [false, true]) {
		const chunks = reader.read(path, { ...RAW, raw: false, timestamps }, new AbortController().signal);
		const bytes = Buffer.concat(await Array.fromAsync(chunks));
		const frames: string[] = [];
		for (let at = 0; at < bytes.length; at += 8 + bytes.readUInt32BE(at + 4)) {
			expect(bytes.readUInt32BE(at)).toBe(0x01000000);
			frames.push(bytes.toString("utf8", at + 8, at + 8 + bytes.readUInt32BE(at + 4)));
		}
		expect(frames.map((line) => line.replace(/^\d{4}-\S*Z /, ""))).toEqual(["first\n", "second\n", "\n", "last"]);
	}
});

test("attributes: each line carries them, a dollar sign too, and details show them as docker does", async () => {
	const path = join(root, "attributes");
	const attributes = { b: "$& $1 a b", a: "x=1,<y>", stream: "stderr" };
	const log = openJsonFileLog({ path, maxSize: 0, maxFiles: 1, attributes });
	await log.write("stdout", Buffer.from("one\ntwo\nback\\slash\n"));
	await log.close();
	const entries = readFileSync(path, "utf8").trimEnd().split("\n");
	expect(entries.map((entry) => (JSON.parse(entry) as { attrs: unknown }).attrs)).toEqual([
		attributes,
		attributes,
		attributes,
	]);
	expect(entries[0]).toContain('"stream":"stdout","attrs":{"a":"x=1,\\u003cy\\u003e","b":');
	const shown = "a=x%3D1%2C%3Cy%3E,b=%24%26+%241+a+b,stream=stderr";
	expect(await text(path, { details: true })).toBe(`${shown} one\n${shown} two\n${shown} back\\slash\n`);
	expect(await text(path)).toBe("one\ntwo\nback\\slash\n");
});
