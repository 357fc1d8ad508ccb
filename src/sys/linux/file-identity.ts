import { statSync } from "node:fs";

/** Changes when another file takes the place, or this one is written to; undefined: there is none. */
export function fileIdentity(path: string): string | undefined {
	const stat = statSync(path, { bigint: true, throwIfNoEntry: false });
	return stat && `${stat.dev} ${stat.ino} ${stat.size} ${stat.mtimeNs}`;
}
