import { release } from "node:os";
import type { SeccompChoice } from "./annotation.ts";
import {
	ALLOW,
	defaultProfile,
	type SeccompAction,
	type SeccompArchitecture,
	type SeccompCondition,
	type SeccompOperator,
	type SeccompProfile,
	type SeccompRule,
} from "./profile.ts";
import { parseProfile, readProfileJson } from "./profile-json.ts";

/** `linux.seccomp` of the runtime specification. */
export interface SpecSeccomp {
	readonly defaultAction: string;
	readonly defaultErrnoRet?: number;
	readonly architectures: readonly string[];
	readonly syscalls: readonly SpecSyscall[];
}

interface SpecSyscall {
	readonly names: readonly string[];
	readonly action: string;
	readonly errnoRet?: number;
	readonly args?: readonly SpecArgument[];
}

/** Numbers of 64 bits: beyond 2^53 as JSON's raw text. */
interface SpecArgument {
	readonly index: number;
	readonly op: string;
	readonly value: unknown;
	readonly valueTwo: unknown;
}

const ERRNO = 0x00050000;
const TRACE = 0x7ff00000;
const PLAIN: Record<number, string> = {
	[ALLOW]: "SCMP_ACT_ALLOW",
	0: "SCMP_ACT_KILL",
	[0x80000000]: "SCMP_ACT_KILL_PROCESS",
	[0x00030000]: "SCMP_ACT_TRAP",
	[0x7ffc0000]: "SCMP_ACT_LOG",
};
const ARCHITECTURES: Record<SeccompArchitecture, string> = {
	x64: "SCMP_ARCH_X86_64",
	x86: "SCMP_ARCH_X86",
	x32: "SCMP_ARCH_X32",
	arm64: "SCMP_ARCH_AARCH64",
};

const cache = new Map<string, SpecSeccomp>();

/**
 * The profile as runtimes take it that compile it themselves (libseccomp); undefined for unconfined. Throws EngineError on a faulty profile.
 * @param capabilities those the container gets: `CAP_CHOWN`
 */
export function seccompSpec(choice: SeccompChoice, capabilities: readonly string[]): SpecSeccomp | undefined {
	if (choice === "unconfined") return undefined;
	if (choice !== "default") {
		const facts = { capabilities, architecture: process.arch, kernel: release() };
		return toSpec(parseProfile(readProfileJson(choice.json), facts), process.arch);
	}
	const key = [...capabilities].sort().join(" ");
	const known = cache.get(key);
	if (known) return known;
	const profile = defaultProfile(capabilities, process.arch);
	const made = toSpec({ ...profile, rules: withoutExceptions(profile) }, process.arch);
	cache.set(key, made);
	return made;
}

/** The same rules in the specification's words. @param architecture node's `process.arch` */
export function toSpec({ defaultAction, rules, architectures }: SeccompProfile, architecture: string): SpecSeccomp {
	const own: SeccompArchitecture[] = architecture === "arm64" ? ["arm64"] : ["x64"];
	const others = architecture === "arm64" ? [] : architectures.filter((name) => name === "x86" || name === "x32");
	const { action, errnoRet } = actionOf(defaultAction);
	return {
		defaultAction: action,
		...(errnoRet !== undefined && { defaultErrnoRet: errnoRet }),
		architectures: [...own, ...others].map((name) => ARCHITECTURES[name]),
		syscalls: rules.map(({ names, action: ruleAction, conditions }) => ({
			names,
			...actionOf(ruleAction),
			...(conditions.length > 0 && { args: conditions.map(argument) }),
		})),
	};
}

/**
 * libseccomp forgets a call's conditions once the call stands without any: an exception to a call that is let through becomes a list of the
 * cases that are none.
 */
export function withoutExceptions({ rules }: Pick<SeccompProfile, "rules">): SeccompRule[] {
	const exceptions = new Map(
		rules.flatMap((rule) => {
			const [condition] = rule.conditions;
			const fixed = rules.find(
				({ names, conditions }) => names.join() === rule.names.join() && conditions.length === 0,
			);
			return condition && fixed && fixed.action !== rule.action ? [[fixed, { rule, condition }] as const] : [];
		}),
	);
	const gone = new Set([...exceptions.values()].map(({ rule }) => rule));
	return rules
		.filter((rule) => !gone.has(rule))
		.flatMap((rule) => {
			const exception = exceptions.get(rule);
			return exception ? opposite(exception.condition).map((one) => ({ ...rule, conditions: [one] })) : [rule];
		});
}

const OPPOSITES: Record<Exclude<SeccompOperator, "MASKED_EQ">, SeccompOperator> = {
	EQ: "NE",
	NE: "EQ",
	LT: "GE",
	GE: "LT",
	GT: "LE",
	LE: "GT",
};

/** Conditions of which one holds exactly when this one does not. With a mask: one bit of it differs. */
function opposite(condition: SeccompCondition): SeccompCondition[] {
	const { op, value: mask, valueTwo: wanted = 0n } = condition;
	if (op !== "MASKED_EQ") return [{ ...condition, op: OPPOSITES[op] }];
	const bits = Array.from({ length: 64 }, (_, bit) => 1n << BigInt(bit)).filter((bit) => (mask & bit) !== 0n);
	return bits.map((bit) => ({ ...condition, value: bit, valueTwo: bit & ~wanted }));
}

function actionOf(action: SeccompAction): { action: string; errnoRet?: number } {
	const plain = PLAIN[action];
	if (plain) return { action: plain };
	const kind = action & 0x7fff0000;
	if (kind === ERRNO) return { action: "SCMP_ACT_ERRNO", errnoRet: action & 0xffff };
	if (kind === TRACE) return { action: "SCMP_ACT_TRACE", errnoRet: action & 0xffff };
	throw new Error(`no name for the seccomp action ${action}`);
}

function argument({ index, op, value, valueTwo = 0n }: SeccompCondition): SpecArgument {
	return { index, op: `SCMP_CMP_${op}`, value: exact(value), valueTwo: exact(valueTwo) };
}

/** JSON has no bigint. */
function exact(value: bigint): unknown {
	if (value <= BigInt(Number.MAX_SAFE_INTEGER)) return Number(value);
	return (JSON as unknown as { rawJSON(text: string): unknown }).rawJSON(value.toString());
}
