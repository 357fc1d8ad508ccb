import type { Reply } from "./talk.ts";

/** Takes out what is of one engine or one moment alone: ids, times, addresses, paths below its data root. */
export function createNormaliser(roots: readonly string[]): (value: unknown) => unknown {
	const text = (value: string) =>
		roots
			.reduce((path, root) => path.replaceAll(root, "<root>"), value)
			.replace(/\b[0-9a-f]{64}\b/g, "<id>")
			.replace(/\b[0-9a-f]{12}\b/g, (id) => (/[a-f]/.test(id) && /[0-9]/.test(id) ? "<id>" : id))
			.replaceAll("runc create failed: ", "")
			.replace(/\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)/g, (time) =>
				time.startsWith("0001") ? time : "<time>",
			)
			.replace(/\b\d{19}\b/g, "<nanoseconds>")
			.replace(/\b(172|192|10)\.\d+\.\d+\.\d+\b/g, "<address>")
			.replace(/\b([0-9a-f]{2}:){5}[0-9a-f]{2}\b/g, "<mac>");
	const walk = (value: unknown, key = ""): unknown => {
		if (typeof value === "string") return text(value);
		if (typeof value === "number") return value > 1e9 && /time|created|read/i.test(key) ? "<time>" : value;
		if (Array.isArray(value)) return value.map((one) => walk(one, key));
		if (typeof value === "object" && value !== null) {
			return Object.fromEntries(Object.entries(value).map(([name, one]) => [text(name), walk(one, name)]));
		}
		return value;
	};
	return (value) => walk(value);
}

/** Lines `path: ours | theirs` of what differs between two replies. */
export function differences(ours: Reply, theirs: Reply): string[] {
	const [left, right] = [flat(ours), flat(theirs)];
	const keys = [...new Set([...left.keys(), ...right.keys()])];
	return keys.flatMap((key) => {
		const [a, b] = [left.get(key), right.get(key)];
		return a === b ? [] : [`${key}: ${a ?? "(none)"} | ${b ?? "(none)"}`];
	});
}

function flat(value: unknown, path = "", into = new Map<string, string>()): Map<string, string> {
	if (Array.isArray(value) && value.length > 0) {
		for (const [index, one] of value.entries()) flat(one, `${path}[${index}]`, into);
	} else if (typeof value === "object" && value !== null && Object.keys(value).length > 0) {
		for (const [key, one] of Object.entries(value)) flat(one, path === "" ? key : `${path}.${key}`, into);
	} else into.set(path, JSON.stringify(value));
	return into;
}
