import { afterEach, beforeEach, expect, setDefaultTimeout, test } from "bun:test";
import { execFileSync } from "node:child_process";
import * as fs from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { getXattr, setXattr } from "../../../sys/linux/xattr.ts";
import { OverlaySnapshotter } from "./overlay.ts";

/** The disk may be busy with others' data. */
setDefaultTimeout(30_000);

const CAPABILITY = Buffer.from("0100000280800000000000000000000000000000", "hex");
let base = "";
let snapshots: OverlaySnapshotter;
let root = "";
let lower: string[] = [];

const sh = (script: string, cwd = base) =>
	execFileSync("sh", ["-ec", script], { cwd, maxBuffer: 1 << 28, stdio: ["ignore", "pipe", "pipe"] });

async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
	yield bytes;
}

/** A container `c` over two layers, mounted at `root`. */
beforeEach(async () => {
	base = fs.mkdtempSync(join(tmpdir(), "changes-"));
	snapshots = new OverlaySnapshotter(join(base, "store"));
	sh(`
		mkdir -p a/etc a/keep/inner a/gone/deep a/opaque a/todir a/tofile/x b/etc b/keep
		for f in a/etc/conf a/keep/inner/f a/gone/deep/f a/opaque/1 a/opaque/2 a/rm a/touch a/chmod a/tofile/x/y; do echo $f >$f; done
		echo hidden >a/hidden; echo b >b/keep/b; touch b/.wh.hidden
		touch -d 2020-01-01 a/touch
	`);
	const first = await snapshots.ingest({ source: { body: once(sh("tar -c -C a .")) } });
	const second = await snapshots.ingest({ parentChainId: first.chainId, source: { body: once(sh("tar -c -C b .")) } });
	lower = [first.chainId, second.chainId];
	await snapshots.prepare("c", lower);
	root = snapshots.mount("c");
});
afterEach(async () => {
	for (const id of snapshots.active()) await snapshots.remove(id);
	await snapshots[Symbol.asyncDispose]();
	fs.rmSync(base, { recursive: true });
});

const collect = async (body: AsyncIterable<Uint8Array>) => Buffer.concat(await Array.fromAsync(body));
const told = async () => (await snapshots.changes("c")).map(({ kind, path }) => `${kind[0]?.toUpperCase()} ${path}`);
const list = (directory: string) =>
	sh(
		"find . -printf '%P|%y|%m|%U|%G|%T@|%l|' \\( -type f -printf '%n ' -exec md5sum {} \\; -o -printf '\\n' \\) | sort",
		directory,
	).toString();

function change(): void {
	sh(
		`
		echo more >>etc/conf; rm rm; rm -r gone; rm -r opaque; mkdir opaque; echo new >opaque/new
		chmod 600 chmod; rm -r tofile; echo file >tofile; rmdir todir; mkdir -p new/sub; echo x >new/sub/x; ln new/sub/x new/hard
		ln -s /etc/conf new/soft; mknod new/dev b 7 300; mkfifo new/fifo; touch -d '2021-03-04T05:06:07.89Z' new/sub/x; chown 5:3000000 new/sub
		mkdir -p proc dev/pts; : >etc/hosts; : >etc/resolv.conf
	`,
		root,
	);
	fs.writeFileSync(join(root, `new/${"long-".repeat(40)}`), "long");
	fs.writeFileSync(join(root, "new/capable"), "x");
	setXattr(join(root, "new/capable"), "security.capability", CAPABILITY);
	// opened for writing, and not changed: copied up, the same as before
	fs.closeSync(fs.openSync(join(root, "touch"), "r+"));
}

test("changes() tells what dockerd tells; what the runtime makes to mount on is not told", async () => {
	expect(await told()).toEqual([]);
	change();
	expect(await told()).toEqual([
		...["M /chmod", "M /etc", "M /etc/conf", "D /gone", "A /new", "A /new/capable", "A /new/dev", "A /new/fifo"],
		...["A /new/hard", `A /new/${"long-".repeat(40)}`, "A /new/soft", "A /new/sub", "A /new/sub/x"],
		...["M /opaque", "D /opaque/1", "D /opaque/2", "A /opaque/new", "D /rm", "D /todir", "M /tofile", "D /tofile/x"],
	]);
});

test("archiveChanges() as a layer on top gives the same root", async () => {
	change();
	const server = Bun.listen({ unix: join(root, "new/socket"), socket: { data() {} } });
	const tar = await collect(snapshots.archiveChanges("c"));
	const parentChainId = snapshots.layers()[1];
	const again = await snapshots.ingest({ parentChainId, source: { body: snapshots.archiveChanges("c") } });
	server.stop();
	fs.rmSync(join(root, "new/socket"), { force: true });
	const chain = snapshots.layers().slice(0, 2);
	const { chainId, diffId } = await snapshots.ingest({ parentChainId, source: { body: once(tar) } });
	expect([chainId, diffId]).toEqual([again.chainId, again.diffId]);
	await snapshots.prepare("d", [...chain, chainId]);
	const other = snapshots.mount("d");
	for (const path of [".dockerenv", "proc", "dev", "etc/hosts", "etc/resolv.conf"])
		for (const at of [root, other]) fs.rmSync(join(at, path), { recursive: true, force: true });
	for (const path of ["etc", "new", "."]) for (const at of [root, other]) fs.utimesSync(join(at, path), 1, 1);
	expect(list(other)).toBe(list(root));
	expect(Buffer.from(getXattr(join(other, "new/capable"), "security.capability") ?? []).equals(CAPABILITY)).toBe(true);
});

test("archiveRoot() is the merged root, mounted or not, and GNU tar reads it", async () => {
	change();
	sh("mkdir out out2");
	fs.writeFileSync(join(base, "root.tar"), await collect(snapshots.archiveRoot("c")));
	sh("tar -x -p --numeric-owner --xattrs --xattrs-include='*' -f root.tar -C out");
	fs.utimesSync(root, 1, 1);
	fs.utimesSync(join(base, "out"), 1, 1);
	fs.chmodSync(join(base, "out"), fs.statSync(root).mode);
	expect(list(join(base, "out"))).toBe(list(root));
	expect(Buffer.from(getXattr(join(base, "out/new/capable"), "security.capability") ?? []).equals(CAPABILITY)).toBe(
		true,
	);
	snapshots.unmount("c");
	const again = await collect(snapshots.archiveRoot("c"));
	expect(again.equals(fs.readFileSync(join(base, "root.tar")))).toBe(true);
	expect(fs.readdirSync(root)).toEqual([]);
});

test("a directory that is deleted and made again lists nothing of what it had, also from layers that name it twice", async () => {
	sh("rm -r opaque keep; mkdir opaque keep; echo 1 >keep/new; mkdir keep/inner", root);
	const layer = await collect(snapshots.archiveChanges("c"));
	const again = await snapshots.ingest({ parentChainId: lower[1], source: { body: once(layer) } });
	await snapshots.prepare("d", [...lower, again.chainId]);
	const seen = snapshots.mount("d");
	expect(fs.readdirSync(join(seen, "opaque"))).toEqual([]);
	expect(fs.readdirSync(join(seen, "keep")).sort()).toEqual(["inner", "new"]);
	expect(fs.readdirSync(join(seen, "keep/inner"))).toEqual([]);
	// A mark before and after the whiteouts that it makes needless.
	sh("mkdir -p t/opaque; touch t/opaque/.wh.1 t/opaque/.wh..wh..opq t/opaque/.wh.2");
	for (const order of [".wh.1 .wh..wh..opq .wh.2", ".wh..wh..opq .wh.1 .wh.2"]) {
		const names = order.split(" ").map((name) => `opaque/${name}`);
		const both = await snapshots.ingest({
			parentChainId: lower[1],
			source: { body: once(sh(`tar -c -C t --no-recursion opaque ${names.join(" ")}`)) },
		});
		const id = `e${order.length}${order.indexOf("opq")}`;
		await snapshots.prepare(id, [...lower, both.chainId]);
		expect(fs.readdirSync(join(snapshots.mount(id), "opaque"))).toEqual([]);
	}
});
