import type { CheckReport, CheckStep } from "./contract.ts";

/** What is the same for both, and told once. */
const COMMON: readonly CheckStep["name"][] = ["running", "network"];

/** One report of those of IPv4 and IPv6. Programs take the family that works, so one is enough; what is wrong with the other is said. */
export function joinReports(reports: readonly { readonly family: 4 | 6; readonly report: CheckReport }[]): CheckReport {
	const [first, ...more] = reports;
	if (!first) throw new Error("cannot join reports: there are none");
	if (more.length === 0) return first.report;
	const ok = reports.some(({ report }) => report.ok);
	const steps = reports.flatMap(({ family, report }, at) =>
		report.steps
			.filter(({ name }) => at === 0 || !COMMON.includes(name))
			.map((step): CheckStep => {
				const status = ok && step.status === "fail" ? "note" : step.status;
				return COMMON.includes(step.name) ? step : { ...step, status, detail: `IPv${family}: ${step.detail}` };
			}),
	);
	return { ...first.report, ok, steps, verdict: verdictOf(reports) };
}

function verdictOf(reports: Parameters<typeof joinReports>[0]): string {
	const texts = new Set(reports.map(({ report }) => report.verdict));
	if (texts.size === 1) return [...texts].join();
	const good = reports.filter(({ report }) => report.ok);
	const bad = reports.filter(({ report }) => !report.ok).map(({ family, report }) => `IPv${family}: ${report.verdict}`);
	const [best, ...others] = good;
	if (!best) return bad.join("; ");
	const also = others.map(({ family }) => `over IPv${family} as well`);
	return [best.report.verdict, ...also, ...bad.map((text) => `but not over ${text}`)].join(", ");
}
