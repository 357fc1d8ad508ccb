import { afterAll, beforeAll, expect, test } from "bun:test";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { cloneGit } from "./git-clone.ts";

const root = mkdtempSync(join(tmpdir(), "git-clone-test-"));
const source = join(root, "source");
const asked: string[] = [];

/** A web server that knows nothing of git: what is in the directory. */
const server = Bun.serve({
	hostname: "127.0.0.1",
	port: 0,
	fetch: (request) => {
		const { pathname } = new URL(request.url);
		const who = request.headers.get("authorization") ?? "";
		asked.push(who);
		if (pathname.startsWith("/locked/") && who === "")
			return new Response("", { status: 401, headers: { "www-authenticate": "Basic" } });
		const file = Bun.file(join(root, pathname));
		return file.exists().then((there) => (there ? new Response(file) : new Response("", { status: 404 })));
	},
});
const signal = new AbortController().signal;

function git(...argv: string[]): string {
	const identity = ["-c", "user.name=t", "-c", "user.email=t@t", "-c", "init.defaultBranch=trunk"];
	const { stdout, stderr, exitCode } = Bun.spawnSync(["git", ...identity, "-C", source, ...argv]);
	if (exitCode !== 0) throw new Error(stderr.toString());
	return stdout.toString().trim();
}

beforeAll(() => {
	mkdirSync(join(source, "docker/deep"), { recursive: true });
	git("init", "-q");
	writeFileSync(join(source, "f"), "first\n");
	symlinkSync("/etc", join(source, "out"));
	symlinkSync("docker", join(source, "in"));
	writeFileSync(join(source, "docker/deep/f"), "deep\n");
	git("add", ".");
	git("commit", "-qm", "first");
	git("tag", "v1");
	writeFileSync(join(source, "f"), "second\n");
	git("commit", "-qam", "second");
	git("update-server-info");
	mkdirSync(join(root, "repo.git"));
	Bun.spawnSync(["cp", "-r", `${source}/.git/.`, join(root, "repo.git")]);
	mkdirSync(join(root, "locked"));
	symlinkSync("../repo.git", join(root, "locked/repo.git"));
});

afterAll(async () => {
	await server.stop(true);
	rmSync(root, { recursive: true, force: true });
});

const remote = () => `http://127.0.0.1:${server.port}/repo.git`;
let count = 0;
const into = () => join(root, `clone${count++}`);
const of = (ref: string, subdirectory = "") => ({ remote: remote(), shown: remote(), ref, subdirectory });

test("the default branch, and a tag", async () => {
	for (const [ref, text] of [
		["HEAD", "second\n"],
		["v1", "first\n"],
	] as const) {
		const found = await cloneGit(of(ref), into(), signal);
		expect([ref, readFileSync(join(found, "f"), "utf8")]).toEqual([ref, text]);
	}
});

test("a directory of the repository, also through its own links, and none outside of it", async () => {
	expect(readFileSync(join(await cloneGit(of("HEAD", "in/deep"), into(), signal), "f"), "utf8")).toBe("deep\n");
	const wrong = (directory: string) => cloneGit(of("HEAD", directory), into(), signal);
	await expect(wrong("out")).rejects.toThrow("error setting git context, not within git root: out");
	await expect(wrong("../source")).rejects.toThrow("not within git root");
	await expect(wrong("f")).rejects.toThrow("not a directory: f");
	await expect(wrong("none")).rejects.toThrow("no such directory: none");
});

test("a password reaches the server and neither the files nor the error", async () => {
	const shown = remote().replace("repo.git", "locked/repo.git");
	const secret = shown.replace("http://", "http://me:secret@");
	const directory = into();
	await cloneGit({ ...of("HEAD"), remote: secret, shown }, directory, signal);
	expect(asked).toContain(`Basic ${btoa("me:secret")}`);
	const found = Bun.spawnSync(["grep", "-r", "secret", directory]).stdout.toString();
	expect(found).toBe("");
	const failing = cloneGit({ ...of("nope"), remote: secret, shown }, into(), signal);
	await expect(failing).rejects.toThrow(`cannot build from ${shown}: git fetch:`);
	await failing.catch((error) => expect(String(error)).not.toContain("secret"));
});

test("local paths and helpers of git are not for clients", async () => {
	for (const one of [`file://${source}`, source, `ext::touch ${root}/ran`]) {
		await expect(cloneGit({ ...of("HEAD"), remote: one, shown: one }, into(), signal)).rejects.toThrow("not allowed");
	}
	expect(existsSync(join(root, "ran"))).toBe(false);
});

test("a client that leaves ends it", async () => {
	const silent = Bun.listen({ hostname: "127.0.0.1", port: 0, socket: { data: () => {} } });
	try {
		const url = `http://127.0.0.1:${silent.port}/a.git`;
		const abort = new AbortController();
		setTimeout(() => abort.abort(new Error("left")), 100);
		await expect(cloneGit({ ...of("HEAD"), remote: url, shown: url }, into(), abort.signal)).rejects.toThrow("left");
	} finally {
		silent.stop(true);
	}
});
