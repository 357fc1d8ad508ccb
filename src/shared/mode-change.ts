/** What a change makes of a mode: bits 07777. */
export type ModeChange = (mode: number, isDirectory: boolean) => number;

const WHO: Readonly<Record<string, number>> = { u: 0o4700, g: 0o2070, o: 0o1007, a: 0o7777 };
const BITS: Readonly<Record<string, number>> = { r: 0o444, w: 0o222, x: 0o111, s: 0o6000, t: 0o1000 };

/** A mode as chmod(1) takes it, octal (`755`) or symbolic (`u=rwX,go-w`); undefined: it is none. No umask counts. */
export function parseModeChange(text: string): ModeChange | undefined {
	if (/^[0-7]{1,5}$/.test(text)) {
		const mode = Number.parseInt(text, 8);
		return mode > 0o7777 ? undefined : () => mode;
	}
	const clauses = text.split(",");
	if (!clauses.every((one) => /^[ugoa]*([-+=]([rwxXst]*|[ugo]))+$/.test(one))) return undefined;
	return (mode, isDirectory) => clauses.reduce((now, clause) => applyClause(now, clause, isDirectory), mode);
}

function applyClause(mode: number, clause: string, isDirectory: boolean): number {
	const [, who = ""] = /^([ugoa]*)/.exec(clause) ?? [];
	const mask = [...(who || "a")].reduce((all, one) => all | (WHO[one] ?? 0), 0);
	const actions = clause.slice(who.length).matchAll(/([-+=])([^-+=]*)/g);
	let now = mode;
	for (const [, sign, letters = ""] of actions) {
		const bits = bitsOf(letters, now, isDirectory) & mask;
		if (sign === "+") now |= bits;
		else if (sign === "-") now &= ~bits;
		// Set-id bits of a directory stay unless they are named, as with chmod(1).
		else now = (now & ~(mask & (isDirectory ? 0o1777 : 0o7777))) | bits;
	}
	return now;
}

function bitsOf(letters: string, mode: number, isDirectory: boolean): number {
	const from: Readonly<Record<string, number>> = { u: mode >> 6, g: mode >> 3, o: mode };
	return [...letters].reduce((all, letter) => {
		const copied = from[letter];
		if (copied !== undefined) return all | ((copied & 7) * 0o111);
		if (letter === "X") return isDirectory || (mode & 0o111) !== 0 ? all | 0o111 : all;
		return all | (BITS[letter] ?? 0);
	}, 0);
}
