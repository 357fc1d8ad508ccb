import { randomBytes } from "node:crypto";

/** 64 lower-case hex digits, as every docker object id; never all digits in its first 12 (docker's rule, so that a short id is a valid host name). */
export function createId(): string {
	for (;;) {
		const id = randomBytes(32).toString("hex");
		if (/[a-f]/.test(id.slice(0, 12))) return id;
	}
}

/** The 12-digit form that `docker ps` shows. */
export function shortId(id: string): string {
	return id.startsWith("sha256:") ? id.slice(7, 19) : id.slice(0, 12);
}
