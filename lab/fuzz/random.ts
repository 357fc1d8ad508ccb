/** A seeded source of choices: the same seed gives the same requests. */
export interface Random {
	/** A whole number from 0 below `bound`. */
	below(bound: number): number;
	pick<T>(from: readonly [T, ...T[]]): T;
}

/** Mulberry32, by Tommy Ettinger (public domain): 32 bits of state are enough to choose test values. */
export function createRandom(seed: number): Random {
	let state = seed >>> 0;
	const next = () => {
		state = (state + 0x6d2b79f5) >>> 0;
		let mixed = Math.imul(state ^ (state >>> 15), state | 1);
		mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
		return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
	};
	const below = (bound: number) => Math.floor(next() * bound);
	return { below, pick: ([first, ...rest]) => [first, ...rest][below(rest.length + 1)] ?? first };
}
