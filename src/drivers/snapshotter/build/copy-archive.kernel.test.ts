import { afterEach, beforeEach, expect, setDefaultTimeout, test } from "bun:test";
import { execFileSync } from "node:child_process";
import * as fs from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { OverlaySnapshotter } from "../overlay/overlay.ts";
import { copyTree } from "./copy-tree.ts";

/** The disk may be busy with others' data. */
setDefaultTimeout(30_000);

let directory = "";
let snapshots: OverlaySnapshotter;
let base = "";
const sh = (script: string, cwd = directory) => execFileSync("sh", ["-ec", script], { cwd });

async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
	yield bytes;
}

beforeEach(async () => {
	directory = fs.mkdtempSync(join(tmpdir(), `fd-copy-archive-${process.pid}-`));
	snapshots = new OverlaySnapshotter(join(directory, "store"));
	sh(`
		mkdir -p image/app/old image/app/becomes-file/x image/real image/private context/sub/deep context/becomes-file-not
		echo old >image/app/old/kept; echo file >image/app/sub; ln -s /real image/link; ln -s old image/app/to-directory
		ln -s ../../../../outside image/out; chmod 700 image/private; chown 7:8 image/private image/app
		touch -d 2020-01-01 image/private image/app image/app/old image/real
		cd context; echo 1 >sub/deep/f; chmod 4755 sub/deep/f; ln sub/deep/f twin; ln -s /etc/passwd soft; mkfifo pipe
		mkdir to-directory; echo in >to-directory/in; echo f >becomes-file; echo big >one; chown 3:4 sub one; chmod 2750 sub
		find . -exec touch -h -d '2021-03-04T05:06:07.891Z' {} +
	`);
	const tar = sh("tar -c -C image .");
	base = (await snapshots.ingest({ source: { body: once(tar) } })).chainId;
});
afterEach(async () => {
	for (const id of snapshots.active()) await snapshots.remove(id);
	await snapshots[Symbol.asyncDispose]();
	fs.rmSync(directory, { recursive: true });
});

/** All of a tree; of directories that a copy went through or made the times differ by when it was. */
const list = (root: string) =>
	sh(
		"find . -mindepth 1 \\( -type d -printf '%P|%y|%m|%U|%G\\n' \\) -o -printf '%P|%y|%m|%U|%G|%n|%T@|%l\\n' | sort; find . -type f -exec md5sum {} + | sort",
		root,
	).toString();

async function layered(id: string, layer: AsyncIterable<Uint8Array>): Promise<string> {
	const { chainId } = await snapshots.ingest({ parentChainId: base, source: { body: layer } });
	await snapshots.prepare(`${id}-over`, [base, chainId]);
	return list(snapshots.mount(`${id}-over`));
}

const OWNERS = { root: { uid: 0, gid: 0 }, other: { uid: 5, gid: 6 }, none: undefined };

test.each([
	["", "/app", {}],
	["", "/", {}],
	["", "/new/deep/er", { owner: OWNERS.other }],
	["", "/link/below", { owner: OWNERS.none }],
	["", "/private/in/", { chmod: "u=rwX,go=" }],
	["", "/out/there", { keepRights: true }],
	["sub", "/app/old", { owner: OWNERS.none }],
	["one", "/private/one", {}],
	["one", "/app/", { owner: OWNERS.other, chmod: "4711" }],
	["one", "/app", {}],
	["one", "/out", {}],
	["one", "/a/b/c", { chmod: "700" }],
	["sub/deep/f", "/link/", { owner: OWNERS.other }],
])("%j to %s %p: the layer is that of a copy into the root", async (path, destination, more) => {
	const copy = { root: join(directory, "context"), path, destination, owner: OWNERS.root, ...more };
	await snapshots.prepare("c", [base]);
	const to = snapshots.mount("c");
	const direct = await layered("direct", snapshots.archiveCopy({ ...copy, to }));
	copyTree({ ...copy, to });
	expect(direct).toBe(await layered("copied", snapshots.archiveChanges("c")));
	expect(fs.existsSync(join(directory, "outside"))).toBe(false);
});

test("a file in the way of a directory is an error of both", async () => {
	await snapshots.prepare("c", [base]);
	const copy = { root: join(directory, "context"), path: "", to: snapshots.mount("c"), destination: "/app/sub/x" };
	expect(() => copyTree(copy)).toThrow("ENOTDIR");
	await expect(Array.fromAsync(snapshots.archiveCopy(copy))).rejects.toThrow("ENOTDIR");
	const none = Array.fromAsync(snapshots.archiveCopy({ ...copy, path: "none", destination: "/x" }));
	await expect(none).rejects.toThrow("ENOENT");
});
