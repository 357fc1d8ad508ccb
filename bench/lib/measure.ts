import type { Bench } from "./bench.ts";
import { type Engine, removeBenchContainers } from "./engine.ts";

/** One row of the table: the median of each engine, in the order given. */
export interface Row {
	readonly title: string;
	readonly unit: string;
	readonly better: "lower" | "higher";
	readonly goal?: number;
	readonly bar?: number;
	readonly against?: "second" | "best";
	readonly medians: Readonly<Record<string, number>>;
	readonly values: Readonly<Record<string, readonly number[]>>;
	/** Engines that could not be measured, and why. */
	readonly errors: Readonly<Record<string, string>>;
}

/** Measures A B B A ..., so that the machine's noise, and what an engine still does after its turn, meets every one alike; each engine's first round warms up. */
export async function measure(bench: Bench, engines: readonly Engine[], rounds = bench.rounds): Promise<Row> {
	try {
		await bench.open?.(engines);
		return await measureRounds(bench, engines, rounds);
	} finally {
		await bench.close?.();
	}
}

async function measureRounds(bench: Bench, engines: readonly Engine[], rounds: number): Promise<Row> {
	const values: Record<string, number[]> = {};
	const errors: Record<string, string> = {};
	const guarded = async (engine: Engine, act: () => Promise<void>) => {
		if (errors[engine.name] !== undefined) return;
		try {
			await act();
		} catch (error) {
			errors[engine.name] = error instanceof Error ? error.message : String(error);
		}
	};
	for (const engine of engines) await guarded(engine, async () => await bench.prepare?.(engine));
	for (let round = 0; round <= rounds; round++) {
		for (const engine of round % 2 === 0 ? engines : engines.toReversed()) {
			await guarded(engine, async () => {
				const value = await bench.measure(engine);
				if (round > 0) values[engine.name] = [...(values[engine.name] ?? []), value];
			});
		}
	}
	for (const engine of engines) {
		await guarded(engine, async () => await bench.cleanup?.(engine));
		await removeBenchContainers(engine).catch(() => {});
	}
	const medians = Object.fromEntries(Object.entries(values).map(([name, list]) => [name, median(list)]));
	return {
		title: bench.title,
		unit: bench.unit,
		better: bench.better,
		goal: bench.goal,
		bar: bench.bar,
		against: bench.against,
		medians,
		values,
		errors,
	};
}

export function median(values: readonly number[]): number {
	const sorted = [...values].sort((a, b) => a - b);
	const middle = sorted.length >> 1;
	const upper = sorted[middle] ?? Number.NaN;
	return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? Number.NaN) + upper) / 2;
}

/** Markdown: a row per figure, a column per engine, then the first engine's ratio to the second and the goal. */
export function formatRows(rows: readonly Row[], engines: readonly string[]): string {
	const [first = "", second, ...others] = engines;
	const best = others.length === 0 ? "" : " (* best other)";
	const ratios = second === undefined ? [] : [`${first} / ${second}${best}`, "goal"];
	const header = ["figure", ...engines, ...ratios];
	const lines = rows.map((row) => {
		const cells = engines.map((name) => formatNumber(row.medians[name], row.errors[name]));
		const ratio = (row.medians[first] ?? Number.NaN) / compared(row, engines);
		const mark = row.against === "best" && others.length > 0 ? "*" : "";
		return [
			`${row.title}, ${row.unit}`,
			...cells,
			...(second === undefined ? [] : [formatRatio(ratio) + mark, formatGoal(row)]),
		];
	});
	return [header, header.map(() => "---"), ...lines].map((cells) => `| ${cells.join(" | ")} |`).join("\n");
}

/** What the first engine is measured against. */
function compared(row: Row, [, second = "", ...others]: readonly string[]): number {
	if (row.against !== "best") return row.medians[second] ?? Number.NaN;
	const known = [second, ...others].flatMap((name) => row.medians[name] ?? []);
	return row.better === "lower" ? Math.min(...known) : Math.max(...known);
}

function formatNumber(value: number | undefined, error: string | undefined): string {
	if (error !== undefined) return `failed: ${error.slice(0, 80).replaceAll("|", "/").replaceAll("\n", " ")}`;
	if (value === undefined) return "-";
	return value >= 100 ? Math.round(value).toString() : value.toPrecision(3);
}

function formatRatio(ratio: number): string {
	return Number.isFinite(ratio) ? `${ratio.toPrecision(2)}x` : "-";
}

function formatGoal({ goal, bar, unit, better }: Row): string {
	const sign = better === "lower" ? "<=" : ">=";
	const parts = [goal === undefined ? [] : `${goal}x`, bar === undefined ? [] : `${bar} ${unit}`].flat();
	return parts.length === 0 ? "" : `${sign} ${parts.join(", ")}`;
}
