/** RFC 3339 with nine fractional digits in UTC, as docker writes times: `2026-11-21T07:00:00.123456789Z`. */
export function nowNano(): string {
	return formatNano(nowNanos());
}

/** Nanoseconds since the epoch. */
export const nowNanos: () => bigint = nanoClock(Date.now, () => performance.now());

/** Set forward by more milliseconds, the wall clock is followed; set back, by more than its own corrections take it. */
const FORWARD_MS = 2;
const BACK_MS = 10;

/**
 * A steady clock gives the digits below the wall clock's milliseconds. It stands still while the machine sleeps, and does not hear of the wall clock
 * being set: where the two part, the wall clock is right.
 */
export function nanoClock(wall: () => number, steady: () => number): () => bigint {
	let origin = wall() - steady();
	return () => {
		const now = origin + steady();
		const ahead = wall() - now;
		if (ahead <= FORWARD_MS && ahead >= -BACK_MS) return BigInt(Math.round(now * 1e6));
		origin += ahead;
		return BigInt(Math.round((now + ahead) * 1e6));
	};
}

/** @param nanos nanoseconds since the epoch */
export function formatNano(nanos: bigint): string {
	const seconds = nanos / 1_000_000_000n;
	const rest = (nanos % 1_000_000_000n).toString().padStart(9, "0");
	return `${new Date(Number(seconds) * 1000).toISOString().slice(0, 19)}.${rest}Z`;
}

/** Nanoseconds since the epoch of an RFC 3339 time with any number of fractional digits; undefined when it is none. */
export function parseNano(text: string): bigint | undefined {
	const match = /^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?(Z|[+-]\d\d:\d\d)$/.exec(text);
	if (!match) return undefined;
	const millis = Date.parse(`${match[1]}${match[3]}`);
	if (Number.isNaN(millis)) return undefined;
	return BigInt(millis) * 1_000_000n + BigInt((match[2] ?? "").padEnd(9, "0"));
}

/** What docker shows for a time that has not happened. */
export const ZERO_TIME = "0001-01-01T00:00:00Z";
