/** RFC 3339 with nine fractional digits in UTC, as docker writes times: `2026-11-21T07:00:00.123456789Z`. */
export function nowNano(): string {
	return formatNano(nowNanos());
}

/** Nanoseconds since the epoch; the wall clock gives milliseconds, `performance` the digits below. */
export function nowNanos(): bigint {
	return BigInt(Math.round((performance.timeOrigin + performance.now()) * 1e6));
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
