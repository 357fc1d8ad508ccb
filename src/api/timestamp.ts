import { parseNano } from "../shared/time.ts";

const UNIT_NANOS: Readonly<Record<string, number>> = {
	ns: 1,
	us: 1e3,
	µs: 1e3,
	ms: 1e6,
	s: 1e9,
	m: 60e9,
	h: 3600e9,
};
const ONE_PART = /(\d{1,15}(?:\.\d{0,9})?|\.\d{1,9})(ns|us|µs|ms|s|m|h)/g;
const DURATION = new RegExp(`^\\+?(?:${ONE_PART.source})+$`);
const UNIX = /^(-?\d{1,12})(?:\.(\d{1,9}))?$/;
/** Forms that docker takes beyond RFC 3339: without zone (the daemon's), without seconds, a day alone. */
const LOCAL = /^\d{4}-\d\d-\d\d(T\d\d:\d\d(:\d\d(\.\d{1,9})?)?)?(Z|[+-]\d\d:\d\d)?$/;

/**
 * Nanoseconds since the epoch from `1700000000`, `1700000000.123456789`, RFC 3339 or a part of it, or a Go duration before `now` (`1h30m`).
 * undefined: it is none of them.
 */
export function parseTimestamp(text: string, now: bigint): bigint | undefined {
	const unix = UNIX.exec(text);
	if (unix) return BigInt(unix[1] ?? 0) * 1_000_000_000n + BigInt((unix[2] ?? "").padEnd(9, "0"));
	const back = durationNanos(text);
	if (back !== undefined) return now - back;
	const exact = parseNano(text);
	if (exact !== undefined || !LOCAL.test(text)) return exact;
	// A day alone is UTC to JavaScript, and the daemon's day to docker.
	const day = /^\d{4}-\d\d-\d\d$/.test(text);
	const millis = Date.parse(day ? `${text}T00:00` : text);
	return Number.isNaN(millis) ? undefined : BigInt(millis) * 1_000_000n;
}

function durationNanos(text: string): bigint | undefined {
	if (text.length > 64 || !DURATION.test(text)) return undefined;
	let total = 0n;
	for (const [, amount, unit] of text.matchAll(ONE_PART)) {
		total += BigInt(Math.round(Number(amount) * (UNIT_NANOS[unit ?? ""] ?? 0)));
	}
	return total;
}
