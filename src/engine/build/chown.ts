import { EngineError } from "../../shared/errors.ts";

type Read = (path: string) => string | undefined;

/** `--chown=USER[:GROUP]`: numbers, or names of the image's own passwd and group files; without a group the user's name is looked for there too. */
export function ownerOf(chown: string, read: Read): { uid: number; gid: number } {
	const [user = "", group = user, ...more] = chown.split(":");
	const fail = (why: string) =>
		new EngineError("invalid", `unable to convert uid/gid chown string to host mapping: ${why}`);
	if (more.length > 0 || user === "") throw fail(`invalid chown string format: ${chown}`);
	const uid = numberOf(user) ?? idIn(read("/etc/passwd"), user);
	if (uid === undefined) throw fail(`can't find uid for user ${user}: no such user: ${user}`);
	const gid = numberOf(group) ?? idIn(read("/etc/group"), group);
	if (gid === undefined) throw fail(`can't find gid for group ${group}: no such group: ${group}`);
	return { uid, gid };
}

function numberOf(text: string): number | undefined {
	const number = Number(text);
	return /^\d+$/.test(text) && number < 2 ** 32 - 1 ? number : undefined;
}

/** The third field of passwd and of group is the number. */
function idIn(file: string | undefined, name: string): number | undefined {
	const line = (file ?? "").split("\n").find((one) => one.startsWith(`${name}:`));
	return line === undefined ? undefined : numberOf(line.split(":")[2] ?? "");
}
