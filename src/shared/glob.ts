/** A step of a pattern; characters are those that a regular expression stands for: exactly one of them, any number, or directories with the slash behind them, none too. */
export type GlobStep = { readonly one: string } | { readonly many: string } | "directories";

/** With so many steps of any length a RegExp takes the square of the text's time at most; with each more the next power. */
const FEW = 2;

/** Tells whether a text matches the steps from end to end, whatever they are in time with its length; undefined for steps that are no characters. */
export function globMatcher(steps: readonly GlobStep[]): ((text: string) => boolean) | undefined {
	try {
		const isLong = steps.filter((step) => step === "directories" || "many" in step).length > FEW;
		if (isLong) return stepwise(steps);
		const expression = new RegExp(`^${steps.map(sourceOf).join("")}$`, "su");
		return (text) => expression.test(text);
	} catch {
		return undefined;
	}
}

function sourceOf(step: GlobStep): string {
	if (step === "directories") return "(?:.*/)?";
	return "many" in step ? `${step.many}*` : step.one;
}

type State =
	| { readonly do: "one" | "many"; readonly fits: (char: string) => boolean }
	/** Goes on behind the next `steps`, or with them. */
	| { readonly do: "skip"; readonly steps: number };

/** All that the text so far may stand for is followed at once: nothing is tried again. */
function stepwise(steps: readonly GlobStep[]): (text: string) => boolean {
	const states = steps.flatMap(statesOf);
	return (text) => {
		let current = entered(states, [0]);
		for (const char of text) {
			const next: number[] = [];
			for (const at of current) {
				const state = states[at];
				if (!state || state.do === "skip" || !state.fits(char)) continue;
				next.push(state.do === "one" ? at + 1 : at);
			}
			if (next.length === 0) return false;
			current = entered(states, next);
		}
		return current.has(states.length);
	};
}

function statesOf(step: GlobStep): State[] {
	if (step === "directories") {
		return [
			{ do: "skip", steps: 2 },
			{ do: "many", fits: () => true },
			{ do: "one", fits: (char) => char === "/" },
		];
	}
	const expression = new RegExp(`^${"many" in step ? step.many : step.one}$`, "su");
	return [{ do: "many" in step ? "many" : "one", fits: (char) => expression.test(char) }];
}

/** These states, and those that are reached from them without a character. */
function entered(states: readonly State[], from: number[]): Set<number> {
	const found = new Set<number>();
	for (let at = from.pop(); at !== undefined; at = from.pop()) {
		if (found.has(at)) continue;
		found.add(at);
		const state = states[at];
		if (state?.do === "many" || state?.do === "skip") from.push(at + 1);
		if (state?.do === "skip") from.push(at + 1 + state.steps);
	}
	return found;
}
