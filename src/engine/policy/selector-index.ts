import { PROJECT_LABEL, type Selector, type Subject } from "./policy.ts";
import { selects } from "./selects.ts";

interface Entry<T> {
	readonly at: number;
	readonly selector: Selector;
	readonly value: T;
}

/**
 * Selectors, and what stands behind them, by what they ask for: of a sandbox those alone are looked at that one of its labels, its name or a network of
 * its own leads to, and those that ask for nothing exactly.
 */
export class SelectorIndex<T> {
	private readonly byTrait = new Map<string, Entry<T>[]>();
	private readonly anywhere: Entry<T>[] = [];

	constructor(entries: Iterable<readonly [Selector, T]>) {
		for (const [at, [selector, value]] of [...entries].entries()) {
			const entry = { at, selector, value };
			const traits = wantedTraits(selector);
			if (!traits) this.anywhere.push(entry);
			for (const trait of new Set(traits)) {
				const known = this.byTrait.get(trait);
				if (known) known.push(entry);
				else this.byTrait.set(trait, [entry]);
			}
		}
	}

	/** In the order that they were given. */
	of(subject: Subject): T[] {
		const near = new Set(traitsOf(subject).flatMap((trait) => this.byTrait.get(trait) ?? []));
		return [...near, ...this.anywhere]
			.filter(({ selector }) => selects(selector, subject))
			.toSorted((a, b) => a.at - b.at)
			.map(({ value }) => value);
	}
}

/** One of these a sandbox must have; undefined: that cannot be told, for a text of each kind asked for holds `*`. */
function wantedTraits({ names, labels = {}, networks, projects }: Selector): string[] | undefined {
	const exact = (texts: readonly string[] | undefined) =>
		texts && !texts.some((text) => text.includes("*")) ? texts : undefined;
	const [label] = Object.entries(labels).filter(([, text]) => !text.includes("*"));
	return (
		exact(names)?.map((name) => `name ${name}`) ??
		(label && [labelTrait(...label)]) ??
		exact(projects)?.map((project) => labelTrait(PROJECT_LABEL, project)) ??
		exact(networks)?.map((network) => `network ${network}`)
	);
}

function traitsOf({ name, labels, endpoints, elsewhere = [] }: Subject): string[] {
	return [
		`name ${name}`,
		...Object.entries(labels).map(([key, text]) => labelTrait(key, text)),
		...[...endpoints, ...elsewhere].map(({ network }) => `network ${network}`),
	];
}

function labelTrait(key: string, text: string): string {
	return `label ${JSON.stringify(key)} ${text}`;
}
