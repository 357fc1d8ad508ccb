/** A step's expectation was not met; the message is what the report shows. */
export class CheckFailed extends Error {
	override readonly name = "CheckFailed";
}

/** Fails with `what` and both values unless they are deeply equal. */
export function equal<T>(actual: T, expected: T, what: string): void {
	if (Bun.deepEquals(actual, expected)) return;
	throw new CheckFailed(`${what}: got ${JSON.stringify(actual)}, expected ${JSON.stringify(expected)}`);
}

/** Fails unless `text` has `part` in it. */
export function includes(text: string, part: string, what: string): void {
	if (!text.includes(part)) throw new CheckFailed(`${what}: ${JSON.stringify(part)} is not in ${JSON.stringify(text)}`);
}

/**
 * Repeats `attempt` every `everyMs` until it gives something other than undefined or false, and returns that. An attempt that throws counts as
 * not yet. Fails after `withinMs` with the last error.
 */
export async function eventually<T>(
	what: string,
	attempt: () => Promise<T | undefined | false> | T | undefined | false,
	{ withinMs = 10_000, everyMs = 50 } = {},
): Promise<T> {
	const deadline = Date.now() + withinMs;
	let last: unknown = "not yet";
	while (Date.now() < deadline) {
		try {
			const result = await attempt();
			if (result !== undefined && result !== false) return result;
		} catch (error) {
			last = error;
		}
		await Bun.sleep(everyMs);
	}
	throw new CheckFailed(`${what}: not within ${withinMs} ms (${last instanceof Error ? last.message : String(last)})`);
}
