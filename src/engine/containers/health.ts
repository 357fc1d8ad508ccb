import { EngineError } from "../../shared/errors.ts";
import type { ContainerConfig, Healthcheck } from "./config.ts";
import type { ContainerRecord, Health, ProbeResult } from "./record.ts";

/** Results that inspect shows, and bytes of output of each. */
const KEPT = 5;
const OUTPUT_BYTES = 4096;
const DEFAULT_RETRIES = 3;
const MS = 1_000_000;
const SECOND = 1000 * MS;

/** What a probe runs, all times in milliseconds; undefined when there is none. Source: moby, daemon/health.go. */
export interface ProbePlan {
	readonly command: string[];
	readonly interval: number;
	readonly timeout: number;
	readonly startPeriod: number;
	readonly startInterval: number;
	readonly retries: number;
}

export function probePlan({ Healthcheck: check }: Pick<ContainerConfig, "Healthcheck">): ProbePlan | undefined {
	const [kind, ...words] = check?.Test ?? [];
	if (!check || (kind !== "CMD" && kind !== "CMD-SHELL")) return undefined;
	const milliseconds = (nanos: number | undefined, fallback: number) => (nanos || fallback) / MS;
	return {
		command: kind === "CMD" ? words : ["/bin/sh", "-c", ...words],
		interval: milliseconds(check.Interval, 30 * SECOND),
		timeout: milliseconds(check.Timeout, 30 * SECOND),
		startPeriod: milliseconds(check.StartPeriod, 0),
		startInterval: milliseconds(check.StartInterval, 5 * SECOND),
		retries: check.Retries || DEFAULT_RETRIES,
	};
}

/** Milliseconds to the next probe. `now` in milliseconds since the epoch. */
export function nextProbe(plan: ProbePlan, status: Health["status"], startedAt: string, now: number): number {
	const starting = status === "starting" && now - Date.parse(startedAt) < plan.startPeriod;
	return starting ? plan.startInterval : plan.interval;
}

/** Health after a probe. A failure in the start period does not count while the container has not been healthy. */
export function judged(before: Health, result: ProbeResult, plan: ProbePlan, startedAt: string): Health {
	const log = [...before.log, result].slice(-KEPT);
	if (result.exitCode === 0) return { status: "healthy", failingStreak: 0, log };
	const early = Date.parse(result.start) - Date.parse(startedAt) < plan.startPeriod;
	if (before.status === "starting" && early) return { ...before, log };
	const failingStreak = before.failingStreak + 1;
	return { status: failingStreak >= plan.retries ? "unhealthy" : before.status, failingStreak, log };
}

/** At a start: what earlier runs logged stays. */
export function startingHealth(record: Pick<ContainerRecord, "config" | "health">): Health | undefined {
	if (!probePlan(record.config)) return undefined;
	return { status: "starting", failingStreak: 0, log: record.health?.log ?? [] };
}

/** One that does not run is not healthy. */
export function endedHealth({ health }: Pick<ContainerRecord, "health">): Health | undefined {
	return health && { ...health, status: "unhealthy" };
}

/** The beginning of a probe's output. */
export function probeOutput(bytes: Buffer): string {
	return bytes.length > OUTPUT_BYTES ? `${bytes.toString("utf8", 0, OUTPUT_BYTES)}...` : bytes.toString();
}

/** The client's check, what it leaves open from the image's. Durations in nanoseconds. */
export function mergeHealthcheck(own: Healthcheck | undefined, ofImage: unknown): Healthcheck | undefined {
	const image = readHealthcheck(ofImage);
	if (!own || !image) return own ?? image;
	return { ...image, ...own };
}

/** Only fields that say something. */
export function readHealthcheck(value: unknown): Healthcheck | undefined {
	if (typeof value !== "object" || value === null) return undefined;
	const given = value as Record<string, unknown>;
	const test = Array.isArray(given.Test) ? given.Test.filter((word) => typeof word === "string") : [];
	const number = (name: string) =>
		typeof given[name] === "number" && given[name] !== 0 ? { [name]: given[name] } : {};
	return {
		...(test.length > 0 && { Test: test }),
		...number("Interval"),
		...number("Timeout"),
		...number("StartPeriod"),
		...number("StartInterval"),
		...number("Retries"),
	};
}

/** "invalid" in docker's words. */
export function validateHealthcheck(check: Healthcheck | undefined): void {
	for (const name of ["Interval", "Timeout", "StartPeriod", "StartInterval"] as const) {
		const nanos = check?.[name] ?? 0;
		if (nanos !== 0 && nanos < MS) throw new EngineError("invalid", `${name} in Healthcheck cannot be less than 1ms`);
	}
	if ((check?.Retries ?? 0) < 0) throw new EngineError("invalid", "Retries in Healthcheck cannot be negative");
}

/** A duration as Go prints it: 1m30s, 1.5s, 500ms. */
export function goDuration(milliseconds: number): string {
	if (milliseconds < 1000) return `${milliseconds}ms`;
	const seconds = milliseconds / 1000;
	const [hours, minutes] = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60];
	const rest = Number((seconds % 60).toFixed(9));
	return `${hours ? `${hours}h` : ""}${hours || minutes ? `${minutes}m` : ""}${rest}s`;
}
