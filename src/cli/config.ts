import { UsageError } from "../shared/usage-error.ts";
import { formatTable } from "./table.ts";

/** A daemon flag as `config print --help` lists it. */
interface FlagHelp {
	readonly name: string;
	readonly value: string;
	readonly repeatable: boolean;
	readonly help: string;
}

interface Entry {
	readonly name: string;
	readonly value: string | readonly string[];
	readonly source: string;
}

/** `config print [--json] [daemon flags]`: what the daemon would run with, and where each value comes from. */
export function runConfig(
	argv: readonly string[],
	flags: readonly FlagHelp[],
	resolve: (argv: readonly string[]) => { readonly entries: readonly Entry[] },
	print: (line: string) => void,
): number {
	const [verb, ...rest] = argv;
	if (verb !== "print") throw new UsageError("usage: foredeck config print [--json] [daemon flags]");
	if (rest.includes("--help") || rest.includes("-h")) {
		print(formatFlags(flags));
		return 0;
	}
	const { entries } = resolve(rest.filter((argument) => argument !== "--json"));
	print(rest.includes("--json") ? formatJson(entries) : formatEntries(entries));
	return 0;
}

function formatFlags(flags: readonly FlagHelp[]): string {
	const rows = flags.map((flag) => [
		`--${flag.name} ${flag.value}`,
		flag.repeatable ? `${flag.help} (repeatable)` : flag.help,
	]);
	return formatTable([...rows, ["--config FILE", "JSON object with the same names as keys; flags win over it"]]);
}

function formatEntries(entries: readonly Entry[]): string {
	const text = (value: Entry["value"]) => (typeof value === "string" ? value : value.join(" ") || "-");
	return formatTable([["SETTING", "VALUE", "SOURCE"], ...entries.map((e) => [e.name, text(e.value), e.source])]);
}

function formatJson(entries: readonly Entry[]): string {
	const named = Object.fromEntries(entries.map(({ name, value, source }) => [name, { value, source }]));
	return JSON.stringify(named, undefined, 2);
}
