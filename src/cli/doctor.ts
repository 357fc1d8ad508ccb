import { UsageError } from "../shared/usage-error.ts";
import { formatTable } from "./table.ts";

interface Check {
	readonly name: string;
	readonly status: "ok" | "warn" | "fail";
	readonly found: string;
	readonly advice?: string;
}

/** `doctor [--json]`: a line per check; exit code 1 when one failed. */
export function runDoctor(
	argv: readonly string[],
	examine: () => readonly Check[],
	print: (line: string) => void,
): number {
	const wrong = argv.find((argument) => argument !== "--json");
	if (wrong !== undefined) throw new UsageError(`unknown argument ${wrong}: usage is foredeck doctor [--json]`);
	const checks = examine();
	print(argv.includes("--json") ? JSON.stringify(checks, undefined, 2) : format(checks));
	return checks.some(({ status }) => status === "fail") ? 1 : 0;
}

function format(checks: readonly Check[]): string {
	return formatTable(
		checks.map(({ name, status, found, advice }) => [status.padEnd(4), name, advice ? `${found}: ${advice}` : found]),
	);
}
