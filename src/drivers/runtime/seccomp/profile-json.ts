import { EngineError } from "../../../shared/errors.ts";
import {
	ALLOW,
	EPERM,
	refuse,
	type SeccompAction,
	type SeccompArchitecture,
	type SeccompCondition,
	type SeccompOperator,
	type SeccompProfile,
	type SeccompRule,
} from "./profile.ts";

/** What decides whether a profile's entry applies. */
export interface ProfileFacts {
	/** CAP_CHOWN, ... that the container gets */
	readonly capabilities: readonly string[];
	/** node's `process.arch` */
	readonly architecture: string;
	/** `6.1.0-13-amd64` */
	readonly kernel: string;
}

type Json = Readonly<Record<string, unknown>>;

const ACTIONS: Record<string, SeccompAction> = {
	SCMP_ACT_ALLOW: ALLOW,
	SCMP_ACT_KILL: 0,
	SCMP_ACT_KILL_THREAD: 0,
	SCMP_ACT_KILL_PROCESS: 0x80000000,
	SCMP_ACT_TRAP: 0x00030000,
	SCMP_ACT_LOG: 0x7ffc0000,
};
const TRACE = 0x7ff00000;
const OPERATORS: Record<string, SeccompOperator> = {
	SCMP_CMP_EQ: "EQ",
	SCMP_CMP_NE: "NE",
	SCMP_CMP_LT: "LT",
	SCMP_CMP_LE: "LE",
	SCMP_CMP_GT: "GT",
	SCMP_CMP_GE: "GE",
	SCMP_CMP_MASKED_EQ: "MASKED_EQ",
};
/** undefined: an architecture that programs cannot have on machines we run on. */
const ARCHITECTURES: Record<string, SeccompArchitecture | undefined> = {
	SCMP_ARCH_X86_64: "x64",
	SCMP_ARCH_X86: "x86",
	SCMP_ARCH_X32: "x32",
	SCMP_ARCH_AARCH64: "arm64",
};
const FOREIGN =
	/^SCMP_ARCH_(ARM|MIPS(EL)?(64(N32)?)?|PPC|PPC64|PPC64LE|S390|S390X|RISCV64|PARISC(64)?|LOONGARCH64|M68K|SH(EB)?)$/;
const MAX_ARGUMENTS = 6;

/** The JSON of `--security-opt seccomp=`; numbers beyond 2^53 stay exact, as bigint. */
export function readProfileJson(text: string): unknown {
	const exact = (_key: string, value: unknown, context?: { source?: string }) => {
		const source = context?.source;
		return typeof value === "number" && !Number.isSafeInteger(value) && source && /^\d+$/.test(source)
			? BigInt(source)
			: value;
	};
	return JSON.parse(text, exact as (key: string, value: unknown) => unknown);
}

/** A profile in docker's JSON form. Throws EngineError "invalid" or "unsupported" naming what is wrong. */
export function parseProfile(json: unknown, facts: ProfileFacts): SeccompProfile {
	const profile = object(json, "the profile");
	if (typeof profile.defaultAction !== "string") throw invalid("no defaultAction");
	refuseFlags(profile);
	return {
		defaultAction: action(profile.defaultAction, profile.defaultErrnoRet),
		architectures: architecturesOf(profile, facts),
		rules: list(profile.syscalls, "syscalls").flatMap((entry) => rulesOf(object(entry, "syscalls"), facts)),
	};
}

function refuseFlags(profile: Json): void {
	for (const flag of list(profile.flags, "flags")) {
		// All threads alike: there is one when the filter is put on.
		if (flag !== "SECCOMP_FILTER_FLAG_TSYNC") throw unsupported("flag", flag);
	}
	if (profile.listenerPath) throw unsupported("listenerPath", profile.listenerPath);
}

/** `architectures` as they stand, or of `archMap` those that go with the machine's own; neither: its own alone. */
function architecturesOf(profile: Json, { architecture }: ProfileFacts): SeccompArchitecture[] {
	const listed = list(profile.architectures, "architectures");
	const map = list(profile.archMap, "archMap").map((entry) => object(entry, "archMap"));
	if (listed.length > 0 && map.length > 0)
		throw new EngineError(
			"invalid",
			"both 'architectures' and 'archMap' are specified in the seccomp profile, use either 'architectures' or 'archMap'",
		);
	const own = architecture === "arm64" ? "SCMP_ARCH_AARCH64" : "SCMP_ARCH_X86_64";
	const mapped = map
		.filter((entry) => entry.architecture === own)
		.flatMap((entry) => list(entry.subArchitectures, "subArchitectures"));
	return [...listed, ...mapped].flatMap((name) => {
		const known = typeof name === "string" ? ARCHITECTURES[name] : undefined;
		if (known) return [known];
		if (typeof name === "string" && FOREIGN.test(name)) return [];
		throw new EngineError("invalid", `string ${name} is not a valid arch for seccomp`);
	});
}

function rulesOf(entry: Json, facts: ProfileFacts): SeccompRule[] {
	const names = strings(entry.names, "names");
	if (typeof entry.name === "string" && entry.name !== "") {
		if (names.length > 0)
			throw new EngineError(
				"invalid",
				"both 'name' and 'names' are specified in the seccomp profile, use either 'name' or 'names'",
			);
		names.push(entry.name);
	}
	if (!applies(entry, facts)) return [];
	const made = { names, action: action(entry.action, entry.errnoRet) };
	const conditions = list(entry.args, "args").map((arg) => condition(object(arg, "args"), names));
	// As runc and crun: with an argument named twice, any condition will do.
	const repeats = new Set(conditions.map(({ index }) => index)).size < conditions.length;
	if (repeats) return conditions.map((one) => ({ ...made, conditions: [one] }));
	return [{ ...made, conditions }];
}

function applies({ includes, excludes }: Json, { capabilities, architecture, kernel }: ProfileFacts): boolean {
	const machine = architecture === "arm64" ? "arm64" : "amd64";
	const wanted = filterOf(includes, "includes");
	const barred = filterOf(excludes, "excludes");
	return (
		wanted.caps.every((name) => capabilities.includes(name)) &&
		(wanted.arches.length === 0 || wanted.arches.includes(machine)) &&
		(wanted.minKernel === undefined || isAtLeast(kernel, wanted.minKernel)) &&
		!barred.caps.some((name) => capabilities.includes(name)) &&
		!barred.arches.includes(machine) &&
		!(barred.minKernel !== undefined && isAtLeast(kernel, barred.minKernel))
	);
}

function filterOf(value: unknown, name: string) {
	const { caps, arches, minKernel } = value === undefined || value === null ? ({} as Json) : object(value, name);
	if (minKernel !== undefined && !/^\d+\.\d+$/.test(String(minKernel)))
		throw invalid(`${name}.minKernel ${JSON.stringify(minKernel)}: expected VERSION.MAJOR`);
	return {
		caps: strings(caps, `${name}.caps`),
		arches: strings(arches, `${name}.arches`),
		minKernel: minKernel === undefined ? undefined : String(minKernel),
	};
}

function isAtLeast(kernel: string, wanted: string): boolean {
	const numbers = (text: string) => text.split(/[.-]/).slice(0, 2).map(Number);
	const [have = 0, haveMinor = 0] = numbers(kernel);
	const [want = 0, wantMinor = 0] = numbers(wanted);
	return have > want || (have === want && haveMinor >= wantMinor);
}

function action(name: unknown, errnoRet: unknown): SeccompAction {
	const errno = errnoRet === undefined || errnoRet === null ? EPERM : errnoRet;
	if (typeof errno !== "number" || !Number.isInteger(errno) || errno < 0 || errno > 0xffff)
		throw invalid(`errnoRet ${String(errno)}: expected a number of 16 bits`);
	if (name === "SCMP_ACT_ERRNO") return refuse(errno);
	if (name === "SCMP_ACT_TRACE") return TRACE | errno;
	const known = typeof name === "string" ? ACTIONS[name] : undefined;
	if (known === undefined) throw unsupported("action", name);
	return known;
}

function condition(arg: Json, names: readonly string[]): SeccompCondition {
	const op = typeof arg.op === "string" ? OPERATORS[arg.op] : undefined;
	if (!op) throw unsupported("operator", arg.op);
	const { index } = arg;
	if (typeof index !== "number" || !Number.isInteger(index) || index < 0) throw invalid(`args.index ${String(index)}`);
	if (index >= MAX_ARGUMENTS)
		throw invalid(`syscall ${names[0]}: syscalls only have up to ${MAX_ARGUMENTS} arguments (${index} given)`);
	return { index, op, value: word(arg.value, "value"), valueTwo: word(arg.valueTwo ?? 0, "valueTwo") };
}

/** 64 bits without sign */
function word(value: unknown, name: string): bigint {
	const whole = typeof value === "bigint" || Number.isSafeInteger(value) ? BigInt(value as bigint | number) : -1n;
	if (whole < 0n || whole >= 1n << 64n) throw invalid(`args.${name} ${String(value)}: expected a number of 64 bits`);
	return whole;
}

function object(value: unknown, name: string): Json {
	if (typeof value !== "object" || value === null || Array.isArray(value)) throw invalid(`${name}: expected an object`);
	return value as Json;
}

function list(value: unknown, name: string): readonly unknown[] {
	if (value === undefined || value === null) return [];
	if (!Array.isArray(value)) throw invalid(`${name}: expected a list`);
	return value;
}

function strings(value: unknown, name: string): string[] {
	return list(value, name).map((one) => {
		if (typeof one !== "string") throw invalid(`${name}: expected strings`);
		return one;
	});
}

function invalid(detail: string): EngineError {
	return new EngineError("invalid", `Decoding seccomp profile failed: ${detail}`);
}

function unsupported(what: string, value: unknown): EngineError {
	return new EngineError("unsupported", `seccomp ${what} ${JSON.stringify(value)} is not supported`);
}
