import { EngineError } from "../../shared/errors.ts";

/** A commit of a repository, as `URL#ref:directory` names it. */
export interface GitContext {
	/** What git fetches from; it may hold a password. */
	readonly remote: string;
	/** The same, fit for logs and files. */
	readonly shown: string;
	/** Branch, tag or commit; HEAD is what the repository has as its default. */
	readonly ref: string;
	/** Relative to the repository; "" is all of it. */
	readonly subdirectory: string;
}

/** Whether docker takes a remote context as a git repository. */
export function isGit(url: string): boolean {
	return /^(git@|git:\/\/|ssh:\/\/|github\.com\/)/.test(url) || /^https?:\/\/.*\.git(#.*)?$/.test(url);
}

/** @param url for which `isGit` holds. Throws "invalid" for a ref that git would take as an option */
export function parseGitUrl(url: string): GitContext {
	const hash = url.indexOf("#");
	const address = hash < 0 ? url : url.slice(0, hash);
	const [ref = "", ...directory] = hash < 0 ? [] : url.slice(hash + 1).split(":");
	if (ref.startsWith("-")) throw new EngineError("invalid", `invalid refspec: ${ref}`);
	const remote = address.startsWith("github.com/") ? `https://${address}` : address;
	// https://user:password@host/ -> https://host/
	const shown = /^https?:/.test(remote) ? remote.replace(/^(https?:\/\/)[^/]*@/, "$1") : remote;
	return { remote, shown, ref: ref || "HEAD", subdirectory: directory.join(":") };
}
