/** First and last address of a network. */
export interface Span<Address extends number | bigint> {
	readonly first: Address;
	readonly last: Address;
}

/** Tells whether a span touches any of these, in as many steps as their number has digits: subnets are looked for among hundreds in use. */
export function occupied<Address extends number | bigint>(
	used: readonly Span<Address>[],
): (span: Span<Address>) => boolean {
	const merged: { first: Address; last: Address }[] = [];
	for (const { first, last } of used.toSorted((a, b) => (a.first < b.first ? -1 : a.first > b.first ? 1 : 0))) {
		const before = merged.at(-1);
		if (!before || before.last < first) merged.push({ first, last });
		else if (before.last < last) before.last = last;
	}
	return ({ first, last }) => {
		let [low, high] = [0, merged.length];
		// The first that ends at or behind the start of the span is the only one that can touch it first.
		while (low < high) {
			const middle = (low + high) >> 1;
			const at = merged[middle];
			if (at && at.last < first) low = middle + 1;
			else high = middle;
		}
		const next = merged[low];
		return next !== undefined && next.first <= last;
	};
}
