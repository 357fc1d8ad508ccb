import { expect, test } from "bun:test";
import { isGit, parseGitUrl } from "./git-context.ts";

test("what docker takes as a git repository", () => {
	const repositories = [
		"git@host:a/b",
		"git://host/a",
		"ssh://git@host/a.git",
		"github.com/a/b",
		"https://host/a.git#v1:x",
	];
	for (const url of repositories) expect([url, isGit(url)]).toEqual([url, true]);
	for (const url of ["https://host/a.tar.gz", "https://host/a", "file:///a.git", "a.git", "https://host/a.git/x"])
		expect([url, isGit(url)]).toEqual([url, false]);
});

test("ref and directory stand behind the hash; the default is the repository's own", () => {
	expect(parseGitUrl("github.com/a/b")).toEqual({
		remote: "https://github.com/a/b",
		shown: "https://github.com/a/b",
		ref: "HEAD",
		subdirectory: "",
	});
	expect(parseGitUrl("https://host/a.git#v1.2:docker/x")).toMatchObject({ ref: "v1.2", subdirectory: "docker/x" });
	expect(parseGitUrl("git@host:a/b.git#:docker")).toMatchObject({
		remote: "git@host:a/b.git",
		ref: "HEAD",
		subdirectory: "docker",
	});
	expect(() => parseGitUrl("https://host/a.git#--upload-pack=x")).toThrow("invalid refspec: --upload-pack=x");
});

test("a password is for git alone", () => {
	const { remote, shown } = parseGitUrl("https://me:secret@host/a.git#main");
	expect([remote, shown]).toEqual(["https://me:secret@host/a.git", "https://host/a.git"]);
});
