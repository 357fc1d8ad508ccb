import { afterEach, beforeEach, expect, setDefaultTimeout, test } from "bun:test";
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import * as fs from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { EngineError } from "../../../shared/errors.ts";
import { OverlaySnapshotter } from "./overlay.ts";

/** The disk may be busy with others' data. */
setDefaultTimeout(30_000);

let base = "";
let snapshots: OverlaySnapshotter;

beforeEach(() => {
	base = fs.mkdtempSync(join(tmpdir(), "overlay-"));
	snapshots = new OverlaySnapshotter(join(base, "store"));
});
afterEach(async () => {
	for (const id of snapshots.active()) await snapshots.remove(id);
	await snapshots[Symbol.asyncDispose]();
	fs.rmSync(base, { recursive: true });
});

const sha = (bytes: Uint8Array) => `sha256:${createHash("sha256").update(bytes).digest("hex")}`;
const sh = (script: string, ...args: string[]) =>
	execFileSync("sh", ["-ec", script, "sh", ...args], {
		cwd: base,
		maxBuffer: 1 << 28,
		stdio: ["ignore", "pipe", "pipe"],
	});

/** Not expect().rejects: that keeps messages of workers from being read. */
const failure = (work: Promise<unknown>) =>
	work.then(
		() => "no failure",
		(error: Error) => error.message,
	);

async function* pieces(bytes: Uint8Array, size = 10_000): AsyncGenerator<Uint8Array> {
	for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}

async function collect(body: AsyncIterable<Uint8Array>): Promise<Buffer> {
	return Buffer.concat(await Array.fromAsync(body));
}

/** A tree with what tars find hard. */
function makeTree(): void {
	sh(`
		mkdir -p tree/dir/deep tree/$(printf 'long%.0s' $(seq 40))/$(printf 'name%.0s' $(seq 40))
		echo one >tree/one; ln tree/one tree/dir/hard; ln -s ../one tree/dir/soft; : >tree/empty
		head -c 3000000 /dev/urandom >tree/big; mkfifo tree/fifo; mknod tree/null c 1 3
		printf 'odd\\n' >tree/"$(printf 'latin-\\351')"; echo x >tree/$(printf 'long%.0s' $(seq 40))/$(printf 'name%.0s' $(seq 40))/file
		chown 1234:70000 tree/one; chmod 4755 tree/one; touch -d '2020-02-02T02:02:02.123456789Z' tree/one tree/dir
		setfattr -n user.note -v hello tree/one 2>/dev/null || true
		chmod 1777 tree/dir/deep
	`);
}

const leftovers = () => ["layers", "recipes", "index"].flatMap((kind) => fs.readdirSync(join(base, "store", kind)));

test("tars of GNU tar in all formats come back byte for byte, plain and as a gzip that never changes", async () => {
	makeTree();
	for (const options of [
		"--format=gnu",
		"--format=pax --xattrs",
		"--format=ustar",
		"--format=v7",
		"--format=pax --blocking-factor=77",
	]) {
		const only = /ustar|v7/.test(options) ? "one dir big empty" : ".";
		const tar = sh(`tar -c ${options} -C tree ${only}`);
		const { chainId, diffId } = await snapshots.ingest({ source: { body: pieces(tar) } });
		expect(diffId).toBe(sha(tar));
		const plain = snapshots.assemble(chainId, "none");
		expect((await collect(plain.body)).equals(tar)).toBe(true);
		expect(await plain.summary()).toEqual({ digest: diffId, size: tar.length });
		expect(snapshots.tarSize(chainId)).toBe(tar.length);
		const [first, second] = [snapshots.assemble(chainId, "gzip"), snapshots.assemble(chainId, "gzip")];
		const [one, two] = await Promise.all([collect(first.body), collect(second.body)]);
		expect(one.equals(two)).toBe(true);
		expect(Buffer.from(Bun.gunzipSync(Buffer.from(one))).equals(tar)).toBe(true);
		expect(await first.summary()).toEqual({ digest: sha(one), size: one.length });
		await snapshots.verify(chainId);
		await snapshots.removeLayer(chainId);
	}
});

test("unpacked files are as GNU tar unpacks them", async () => {
	makeTree();
	const tar = sh("tar -c --format=pax --xattrs -C tree . | tee tar");
	const { chainId } = await snapshots.ingest({ source: { body: pieces(tar) } });
	const list = (directory: string) =>
		sh(
			`cd "$1" && find . -printf '%P|%y|%m|%U|%G|%n|%T@|%l|' \\( -type f -exec md5sum {} \\; -o -printf '\\n' \\) | sort`,
			directory,
		).toString();
	sh("mkdir reference && tar -x --xattrs -p --numeric-owner -C reference -f tar");
	expect(list(snapshots.layerPath(chainId))).toBe(list(join(base, "reference")));
});

test("duplicates, replaced directories and bytes behind the end come back too", async () => {
	sh(`
		mkdir a; echo first >a/f; ln a/f a/link; tar -cf t a; tar -rf t a/f
		echo second, and longer >a/f2; mv a/f2 a/f; tar -rf t a/f a/f
		mkdir -p a/d/e; echo deep >a/d/e/g; tar -rf t a/d; echo other >a/d/e/g; tar -rf t a/d/e/g; rm -r a/d; echo file >a/d; tar -rf t a/d
		rm a/d; mkdir a/d; echo again >a/d/e; tar -rf t a/d
		mkdir x; echo 1 >x/1; ln -s x sym; tar -rf t x; tar -rf t sym; rm sym; mkdir sym; echo through >sym/1; tar -rf t sym/1; echo 2 >sym/1; tar -rf t sym/1
		head -c 12345 /dev/urandom >>t
	`);
	const tar = fs.readFileSync(join(base, "t"));
	const { chainId } = await snapshots.ingest({ source: { path: join(base, "t") } });
	expect((await collect(snapshots.assemble(chainId, "none").body)).equals(tar)).toBe(true);
	const layer = snapshots.layerPath(chainId);
	expect(fs.readFileSync(join(layer, "a/f"), "utf8")).toBe("second, and longer\n");
	expect(fs.readFileSync(join(layer, "a/link"), "utf8")).toBe("first\n");
	expect(fs.readFileSync(join(layer, "a/d/e"), "utf8")).toBe("again\n");
	expect(fs.readFileSync(join(layer, "x/1"), "utf8")).toBe("2\n");
});

test("a layer damaged on disk is found while it is read", async () => {
	makeTree();
	const { chainId } = await snapshots.ingest({ source: { body: pieces(sh("tar -c -C tree .")) } });
	const one = join(snapshots.layerPath(chainId), "one");
	fs.writeFileSync(one, "two\n");
	expect(await failure(snapshots.verify(chainId))).toContain("expected sha256:");
	expect(await failure(collect(snapshots.assemble(chainId, "gzip").body))).toContain("the layer is damaged");
	fs.writeFileSync(one, "longer than before");
	expect(await failure(collect(snapshots.assemble(chainId, "none").body))).toContain('"one" has 18 bytes, expected 4');
	fs.rmSync(one);
	expect(await failure(snapshots.verify(chainId))).toContain("cannot be opened");
});

test("a stream is checked against digest and size; nothing of a refused one is left, others go on", async () => {
	makeTree();
	const tar = sh("tar -c -C tree .");
	const blob = Buffer.from(Bun.gzipSync(Buffer.from(tar)));
	const good = { digest: sha(blob), size: blob.length };
	const diffId = sha(tar);
	const extract = (source: object, chainId: string) =>
		snapshots.extract({ chainId, diffId, source: { body: pieces(blob), ...source } });
	const others = extract(good, "sha256:good");
	expect(await failure(extract({ ...good, digest: sha(tar) }, "sha256:1"))).toContain(`expected ${sha(tar)}`);
	expect(await failure(extract({ ...good, size: blob.length - 1 }, "sha256:2"))).toContain("larger than");
	expect(await failure(extract({ ...good, body: pieces(blob.subarray(0, 1e6)) }, "sha256:3"))).toContain(
		"has 1000000 bytes",
	);
	expect(await failure(extract({ body: pieces(blob.subarray(0, 1e6)) }, "sha256:4"))).toContain("cannot unpack layer");
	const failing = async function* () {
		yield* pieces(blob.subarray(0, 2e6));
		throw new EngineError("unavailable", "the registry hung up");
	};
	expect(await failure(extract({ body: failing() }, "sha256:5"))).toMatch(/^the registry hung up$/);
	await others;
	expect(leftovers().length).toBe(3);
	expect(snapshots.layers()).toEqual(["sha256:good"]);
});

test("a stream that stalls does not keep a failure back, and is told to end", async () => {
	let ended = false;
	const stalling = async function* () {
		try {
			yield Buffer.from("this is no tar at all".padEnd(600_000, "."));
			await Bun.sleep(300);
			yield Buffer.from("more");
		} finally {
			ended = true;
		}
	};
	const started = Date.now();
	expect(await failure(snapshots.ingest({ source: { body: stalling() } }))).toContain("damaged tar");
	expect(Date.now() - started).toBeLessThan(290);
	while (!ended) await Bun.sleep(10);
	expect(leftovers()).toEqual([]);
});

test("two extractions of one layer share the work; when the first source fails, the second is used", async () => {
	makeTree();
	const tar = sh("tar -c -C tree .");
	const failing = async function* () {
		yield tar.subarray(0, 1e6);
		throw new Error("connection reset");
	};
	const request = { chainId: "sha256:c", diffId: sha(tar) };
	const first = snapshots.extract({ ...request, source: { body: failing() } });
	const second = snapshots.extract({ ...request, source: { body: pieces(tar) } });
	expect(await failure(first)).toContain("connection reset");
	expect((await second).size).toBeGreaterThan(3_000_000);
	let read = false;
	const unread = async function* () {
		read = true;
		yield tar;
	};
	await snapshots.extract({ ...request, source: { body: unread() } });
	expect(read).toBe(false);
});

test("zstd of several frames, and progress in compressed bytes", async () => {
	makeTree();
	const tar = sh("tar -c -C tree .");
	const half = tar.length >> 1;
	const blob = Buffer.concat([Bun.zstdCompressSync(tar.subarray(0, half)), Bun.zstdCompressSync(tar.subarray(half))]);
	const seen: number[] = [];
	const source = { body: pieces(blob), digest: sha(blob), size: blob.length };
	await snapshots.extract({ chainId: "sha256:z", diffId: sha(tar), source, onProgress: (bytes) => seen.push(bytes) });
	expect(seen.at(-1)).toBe(blob.length);
	expect(seen.length).toBeGreaterThan(3);
	expect(await failure(snapshots.ingest({ source: { body: pieces(blob.subarray(0, 1e6)) } }))).toContain(
		"cannot unpack",
	);
});

test("decompression bombs end at the limits", async () => {
	await using small = new OverlaySnapshotter(join(base, "small"), { maxLayerBytes: 5e6, maxLayerEntries: 100 });
	const bomb = sh("head -c 50000000 /dev/zero >zeros && tar -cz zeros");
	expect(await failure(small.ingest({ source: { body: pieces(bomb) } }))).toContain(
		"larger than 5000000 bytes unpacked",
	);
	const many = sh("mkdir many && cd many && seq 101 | xargs touch && tar -c .");
	expect(await failure(small.ingest({ source: { body: pieces(many) } }))).toContain("more than 100 entries");
	expect(fs.readdirSync(join(base, "small/layers"))).toEqual([]);
});

test("abandoning a tar that is put together ends the work", async () => {
	const tar = sh("head -c 20000000 /dev/urandom >random && tar -c random");
	const { chainId } = await snapshots.ingest({ source: { body: pieces(tar) } });
	const { body, summary } = snapshots.assemble(chainId, "none");
	for await (const piece of body) {
		expect(piece.length).toBeGreaterThan(0);
		break;
	}
	expect(await failure(summary())).toContain("not read to its end");
	expect((await collect(snapshots.assemble(chainId, "none").body)).equals(tar)).toBe(true);
});

test("layers of an earlier version mount, and say why they cannot be put together", async () => {
	makeTree();
	const { chainId } = await snapshots.ingest({ source: { body: pieces(sh("tar -c -C tree .")) } });
	await snapshots[Symbol.asyncDispose]();
	const store = join(base, "store");
	const index = join(store, "index", fs.readdirSync(join(store, "index"))[0] ?? "");
	const { size, number } = JSON.parse(fs.readFileSync(index, "utf8")) as { size: number; number: number };
	fs.writeFileSync(index, JSON.stringify({ chainId, number, size }));
	fs.rmSync(join(store, "recipes"), { recursive: true });
	snapshots = new OverlaySnapshotter(store);
	await snapshots.prepare("c", [chainId]);
	expect(fs.readFileSync(join(snapshots.mount("c"), "one"), "utf8")).toBe("one\n");
	expect(() => snapshots.assemble(chainId, "none")).toThrow("pull or load it again");
	expect(() => snapshots.tarSize(chainId)).toThrow("pull or load it again");
});

test("a chain of 127 layers mounts; describe() and layerPath() say where all lies", async () => {
	const chain: string[] = [];
	for (let i = 0; i < 127; i++) {
		fs.writeFileSync(join(base, `f${i}`), String(i));
		const tar = sh(`tar -c f${i}`);
		const { chainId } = await snapshots.ingest({ parentChainId: chain.at(-1), source: { body: pieces(tar) } });
		chain.push(chainId);
	}
	const id = "0123456789abcdef".repeat(4);
	await snapshots.prepare(id, chain);
	expect(fs.readdirSync(snapshots.mount(id)).filter((name) => /^f\d/.test(name)).length).toBe(127);
	expect(fs.existsSync(join(snapshots.rootOf(id), ".dockerenv"))).toBe(true);
	const paths = snapshots.describe(id);
	expect(paths.LowerDir.split(":")[1]).toBe(snapshots.layerPath(chain.at(-1) ?? ""));
	expect(paths.MergedDir).toBe(snapshots.rootOf(id));
	for (const path of [paths.UpperDir, paths.WorkDir]) expect(fs.statSync(path).isDirectory()).toBe(true);
});

test("what the runtime mounts on is a directory in every container, whatever the image has there, and is no change", async () => {
	sh('mkdir -p hostile/etc host/dir; for name in dev proc sys; do ln -s "$1/host/dir" hostile/$name; done', base);
	const { chainId } = await snapshots.ingest({ source: { body: pieces(sh("tar -c -C hostile .")) } });
	await snapshots.prepare("c", [chainId]);
	const root = snapshots.mount("c");
	for (const name of ["dev", "proc", "sys"]) expect(fs.lstatSync(join(root, name)).isDirectory()).toBe(true);
	expect(await snapshots.changes("c")).toEqual([]);
});

test("what the engine mounts in /etc is a file of the container's, also where the image has links there or instead of /etc", async () => {
	const images = {
		dangling: "ln -s /nowhere/etc $1/etc",
		loop: "mkdir $1/etc; ln -s hosts $1/etc/hosts; ln -s /run/resolv.conf $1/etc/resolv.conf; mkdir $1/etc/hostname",
		file: "echo x > $1/etc",
		closed: "mkdir -m 0750 $1/etc; chgrp 7 $1/etc; echo x > $1/etc/mtab",
	};
	for (const [name, made] of Object.entries(images)) {
		sh(`mkdir "$1"; ${made}`, join(base, name));
		const { chainId } = await snapshots.ingest({ source: { body: pieces(sh(`tar -c -C ${name} .`)) } });
		await snapshots.prepare(name, [chainId]);
		const etc = join(snapshots.mount(name), "etc");
		const stat = fs.lstatSync(etc);
		expect([stat.mode & 0o777, stat.gid]).toEqual(name === "closed" ? [0o750, 7] : [0o755, 0]);
		for (const file of ["hosts", "hostname", "resolv.conf"]) {
			const found = fs.lstatSync(join(etc, file));
			expect([file, found.isFile(), found.size]).toEqual([file, true, 0]);
		}
		expect(fs.readlinkSync(join(etc, "mtab"))).toBe("/proc/mounts");
	}
	expect(await snapshots.changes("dangling")).toEqual([]);
});

test("nobody but root comes to the files of images and containers, also where the directory was open before", () => {
	const open = join(base, "open");
	fs.mkdirSync(open);
	fs.chmodSync(open, 0o755);
	new OverlaySnapshotter(open);
	expect(fs.statSync(open).mode & 0o777).toBe(0o700);
});

test("a sparse file, whatever size it claims, is refused", async () => {
	sh("mkdir sparse && truncate -s 1T sparse/big");
	for (const format of ["gnu", "pax"]) {
		const tar = sh(`tar -c --sparse --format=${format} -C sparse big`);
		expect(await failure(snapshots.ingest({ source: { body: pieces(tar) } }))).toMatch(
			/unsupported type "S"|sparse file/,
		);
	}
	expect(fs.readdirSync(join(base, "store/layers"))).toEqual([]);
});
