import { EngineError } from "../../shared/errors.ts";

export interface ResolvedUser {
	readonly uid: number;
	readonly gid: number;
	readonly additionalGids: number[];
	readonly home: string;
}

type Read = (path: string) => string | undefined;
interface Passwd {
	readonly name: string;
	readonly uid: number;
	readonly gid: number;
	readonly home: string;
}
interface Group {
	readonly name: string;
	readonly gid: number;
	readonly members: readonly string[];
}

const MAX_ID = 2 ** 31 - 1;

/**
 * `user` is name|uid[:group|gid] ("" is root); `groupAdd` names or gids. Read from the image's own files by `read`.
 * "invalid" in docker's words for a name that is not there.
 */
export function resolveUser(user: string, groupAdd: readonly string[], read: Read): ResolvedUser {
	const [who = "", group] = user.split(":");
	const found = parsePasswd(read("/etc/passwd") ?? "").find(
		(entry) =>
			entry.name === (who || "root") || (isId(who) && entry.uid === Number(who)) || (who === "" && entry.uid === 0),
	);
	if (!found && who !== "" && !isId(who)) throw notFound("user", who, "passwd");
	const uid = found?.uid ?? Number(who || 0);
	const needGroups = group || groupAdd.length > 0 || found;
	const groups = needGroups ? parseGroups(read("/etc/group") ?? "") : [];
	const gid = group ? gidOf(group, groups) : (found?.gid ?? 0);
	// An explicit group drops the user's own supplementary groups, as in docker.
	const own =
		group || !found ? [] : groups.filter(({ members }) => members.includes(found.name)).map((entry) => entry.gid);
	const added = groupAdd.map((name) => gidOf(name, groups));
	// The first is the process's own group: a process may not shed a group by lacking it here (CVE-2022-36109).
	const additionalGids = [...new Set([gid, ...own, ...added])];
	return { uid, gid, additionalGids, home: found?.home || "/" };
}

function gidOf(name: string, groups: readonly Group[]): number {
	const found = groups.find((group) => group.name === name);
	if (found) return found.gid;
	if (isId(name)) return Number(name);
	throw notFound("group", name, "group");
}

function notFound(what: string, name: string, file: string): EngineError {
	return new EngineError("invalid", `unable to find ${what} ${name}: no matching entries in ${file} file`);
}

function isId(text: string): boolean {
	if (!/^-?\d+$/.test(text)) return false;
	if (Number(text) > MAX_ID || Number(text) < 0)
		throw new EngineError("invalid", `uids and gids must be in range 0-${MAX_ID}`);
	return true;
}

function parsePasswd(text: string): Passwd[] {
	return fields(text).flatMap(([name = "", , uid, gid, , home = ""]) =>
		name && uid && gid ? [{ name, uid: Number(uid), gid: Number(gid), home }] : [],
	);
}

function parseGroups(text: string): Group[] {
	return fields(text).flatMap(([name = "", , gid, members = ""]) =>
		name && gid ? [{ name, gid: Number(gid), members: members.split(",") }] : [],
	);
}

function fields(text: string): string[][] {
	return text.split("\n").map((line) => line.trim().split(":"));
}
