import { expect, test } from "bun:test";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseNano } from "../../shared/time.ts";
import type { LogReader, LogReadOptions, LogStream, LogWriter } from "./driver.ts";

/** A driver whose logs can be read, for the suite. */
export interface LogDriverUnderTest {
	readonly format: NonNullable<LogReadOptions["format"]>;
	readonly reader: LogReader;
	open(options: { path: string; maxSize: number; maxFiles: number; compress?: boolean }): LogWriter;
}

const RAW: LogReadOptions = { stdout: true, stderr: true, raw: true, timestamps: false, follow: false };

/** What every log driver with a reader must do. */
export function testLogDriver(name: string, driver: LogDriverUnderTest): void {
	const text = async (path: string, options: Partial<LogReadOptions> = {}): Promise<string> => {
		const chunks: Uint8Array[] = [];
		const wanted = { ...RAW, format: driver.format, ...options };
		for await (const chunk of driver.reader.read(path, wanted, new AbortController().signal)) chunks.push(chunk);
		return Buffer.concat(chunks).toString();
	};
	const lines = (all: string) => all.split("\n").slice(0, -1);
	const scratch = async (work: (path: string) => Promise<void>) => {
		const root = mkdtempSync(join(tmpdir(), "log-driver-"));
		try {
			await work(join(root, "log"));
		} finally {
			rmSync(root, { recursive: true, force: true });
		}
	};
	const put = async (log: LogWriter, stream: LogStream, content: string) => {
		await log.write(stream, Buffer.from(content));
	};
	const numbered = (from: number, to: number) => Array.from({ length: to - from }, (_, i) => `line ${from + i}`);
	const it = (behaviour: string, work: (path: string) => Promise<void>) =>
		test(`${name}: ${behaviour}`, () => scratch(work));

	it("streams come apart, a last line without newline stays without", async (path) => {
		const log = driver.open({ path, maxSize: 0, maxFiles: 1 });
		await put(log, "stdout", "one\nse");
		await put(log, "stderr", "bad\n");
		await put(log, "stdout", "cond\n\npart");
		await log.close();
		expect(await text(path)).toBe("one\nbad\nsecond\n\npart");
		expect(await text(path, { stderr: false })).toBe("one\nsecond\n\npart");
		expect(await text(path, { stdout: false, raw: false })).toBe("\u0002\0\0\0\0\0\0\u0004bad\n");
		expect(await text(path, { tail: 2 })).toBe("\npart");
		expect(await text(path, { tail: 0 })).toBe("");
		expect(await text(path, { tail: 99 })).toBe("one\nbad\nsecond\n\npart");
	});

	it("a line of any length is whole, also at the edge of a piece", async (path) => {
		const log = driver.open({ path, maxSize: 0, maxFiles: 1 });
		const edges = [16_383, 16_384, 16_385, 40_000].map(
			(length) => `${"é".repeat(8000)}${"x".repeat(length - 16_000)}\n`,
		);
		for (const line of edges) await put(log, "stdout", line);
		await put(log, "stdout", edges.join("").repeat(20));
		await log.close();
		expect(await text(path)).toBe(edges.join("").repeat(21));
	});

	it("appends to what was there before", async (path) => {
		for (const part of ["a\n", "b\n"]) {
			const log = driver.open({ path, maxSize: 0, maxFiles: 1 });
			await put(log, "stdout", part);
			await log.close();
		}
		expect(await text(path)).toBe("a\nb\n");
	});

	it("time stamps, and a range of times with tail", async (path) => {
		const log = driver.open({ path, maxSize: 400, maxFiles: 50 });
		for (let i = 0; i < 20; i++) {
			await put(log, i % 2 ? "stderr" : "stdout", `line ${i}\n`);
			await Bun.sleep(2);
		}
		await log.close();
		const stamped = lines(await text(path, { timestamps: true }));
		expect(stamped.map((line) => line.slice(line.indexOf(" ") + 1))).toEqual(numbered(0, 20));
		const times = stamped.map((line) => parseNano(line.slice(0, line.indexOf(" "))) ?? 0n);
		expect(times).toEqual([...times].sort((a, b) => Number(a - b)));
		const [since, until] = [times[5], times[12]];
		expect(lines(await text(path, { since }))).toEqual(numbered(5, 20));
		expect(lines(await text(path, { until }))).toEqual(numbered(0, 13));
		expect(lines(await text(path, { since, until }))).toEqual(numbered(5, 13));
		// docker takes the last lines first
		expect(lines(await text(path, { until, tail: 10 }))).toEqual(numbered(10, 13));
		expect(lines(await text(path, { details: true }))).toEqual(numbered(0, 20).map((line) => ` ${line}`));
	});

	for (const compress of [false, true]) {
		const how = compress ? "compressed " : "";
		it(`${how}files rotate, are kept up to max-file, and are read in order`, async (path) => {
			const log = driver.open({ path, maxSize: 3000, maxFiles: 4, compress });
			for (let i = 0; i < 400; i++) await put(log, "stdout", `line ${i}\n`);
			await log.close();
			const expected = ["log", ...[1, 2, 3].map((n) => `log.${n}${compress ? ".gz" : ""}`)];
			const files = () => readdirSync(join(path, "..")).sort();
			// The last one is compressed behind.
			for (let i = 0; i < 200 && files().join() !== expected.join(); i++) await Bun.sleep(5);
			expect(files()).toEqual(expected);
			const kept = lines(await text(path));
			expect(kept.length).toBeGreaterThan(90);
			expect(kept).toEqual(numbered(400 - kept.length, 400));
			for (const tail of [1, 30, 60, 90]) expect(lines(await text(path, { tail }))).toEqual(kept.slice(-tail));
			await driver.reader.remove(path);
			expect(readdirSync(join(path, ".."))).toEqual([]);
		});

		it(`a follower sees every line over ${how}rotations, also when it is slow`, async (path) => {
			const log = driver.open({ path, maxSize: 2000, maxFiles: 200, compress });
			const { promise: ended, resolve: end } = Promise.withResolvers<void>();
			const seen: string[] = [];
			const follow = (async () => {
				const options = { ...RAW, format: driver.format, follow: true, ended, tail: 0 };
				for await (const chunk of driver.reader.read(path, options, new AbortController().signal)) {
					seen.push(Buffer.from(chunk).toString());
					// many rotations at once
					await Bun.sleep(seen.length < 40 && seen.length % 3 === 0 ? 15 : 0);
				}
			})();
			while (seen.length === 0) {
				await put(log, "stdout", "it follows\n");
				await Bun.sleep(10);
			}
			for (let i = 0; i < 2000; i++) {
				await put(log, "stdout", `line ${i}\n`);
				if (i % 50 === 0) await Bun.sleep(1);
			}
			await log.close();
			end();
			await follow;
			expect(lines(seen.join("")).filter((line) => line !== "it follows")).toEqual(numbered(0, 2000));
		});
	}

	it("a follower ends when the last time it asked for has passed", async (path) => {
		const log = driver.open({ path, maxSize: 0, maxFiles: 1 });
		await put(log, "stdout", "now\n");
		const until = BigInt(Date.now() + 100) * 1_000_000n;
		const never = new Promise<void>(() => {});
		expect(await text(path, { follow: true, ended: never, until })).toBe("now\n");
		await log.close();
	});

	it("a follower may come before the first line", async (path) => {
		const { promise: ended, resolve: end } = Promise.withResolvers<void>();
		const followed = text(path, { follow: true, ended });
		await Bun.sleep(5);
		const log = driver.open({ path, maxSize: 0, maxFiles: 1 });
		await put(log, "stdout", "first\n");
		await log.close();
		end();
		expect(await followed).toBe("first\n");
	});
}
