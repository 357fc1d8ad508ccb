export interface Counts {
	passed: number;
	failed: number;
	skipped: number;
}

export function addCounts(total: Counts, more: Counts): void {
	total.passed += more.passed;
	total.failed += more.failed;
	total.skipped += more.skipped;
}

/** The project's summary line: `N passed, N failed, N skipped`. */
export function formatCounts({ passed, failed, skipped }: Counts): string {
	return `${passed} passed, ${failed} failed, ${skipped} skipped`;
}

/** Counts of a JUnit report, from the attributes of its root element `<testsuites tests= failures= skipped=>`. */
export function countsOfJunit(xml: string): Counts {
	const root = /<testsuites\b[^>]*>/.exec(xml)?.[0] ?? "";
	const attribute = (name: string) => Number(new RegExp(`\\b${name}="(\\d+)"`).exec(root)?.[1] ?? 0);
	const failed = attribute("failures") + attribute("errors");
	const skipped = attribute("skipped");
	return { passed: attribute("tests") - failed - skipped, failed, skipped };
}

/** Counts of the last summary line in an output; a failure when there is none. */
export function countsOfLastLine(output: string): Counts {
	const match = [...output.matchAll(/^(\d+) passed, (\d+) failed, (\d+) skipped$/gm)].at(-1);
	if (!match) return { passed: 0, failed: 1, skipped: 0 };
	return { passed: Number(match[1]), failed: Number(match[2]), skipped: Number(match[3]) };
}
