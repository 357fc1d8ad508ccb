const QUOTE = 0x22;
const COLON = 0x3a;
const OPEN_LIST = 0x5b;
const BACKSLASH = 0x5c;
const CLOSE_LIST = 0x5d;
const OPEN_OBJECT = 0x7b;
const CLOSE_OBJECT = 0x7d;

/** The first key that stands twice in one object of `text`, escapes resolved; undefined when none does. @param text JSON that has been parsed */
export function repeatedKey(text: string): string | undefined {
	/** Keys of the objects that are open; undefined for a list, and before an object's first key. */
	const open: (Set<string> | undefined)[] = [];
	for (let at = 0; at < text.length; at++) {
		const code = text.charCodeAt(at);
		if (code === OPEN_OBJECT || code === OPEN_LIST) open.push(undefined);
		else if (code === CLOSE_OBJECT || code === CLOSE_LIST) open.pop();
		else if (code === QUOTE) {
			const end = endOfString(text, at);
			if (isKey(text, end)) {
				const key = keyAt(text, at, end);
				const keys = open.pop() ?? new Set();
				if (keys.has(key)) return key;
				open.push(keys.add(key));
			}
			at = end;
		}
	}
	return undefined;
}

/** Index of the closing quote. */
function endOfString(text: string, start: number): number {
	for (let at = text.indexOf('"', start + 1); ; at = text.indexOf('"', at + 1)) {
		let slashes = 0;
		while (text.charCodeAt(at - 1 - slashes) === BACKSLASH) slashes++;
		if (slashes % 2 === 0) return at;
	}
}

function isKey(text: string, end: number): boolean {
	let at = end + 1;
	while (text.charCodeAt(at) <= 0x20) at++;
	return text.charCodeAt(at) === COLON;
}

function keyAt(text: string, start: number, end: number): string {
	const raw = text.slice(start + 1, end);
	return raw.includes("\\") ? (JSON.parse(`"${raw}"`) as string) : raw;
}
