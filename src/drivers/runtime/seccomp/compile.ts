import {
	ALLOW,
	refuse,
	type SeccompAction,
	type SeccompArchitecture,
	type SeccompCondition,
	type SeccompProfile,
	type SeccompRule,
} from "./profile.ts";
import { arm64Syscalls, type SyscallTable, x32Syscalls, x64Syscalls, x86Syscalls } from "./syscalls.ts";

/** One instruction of classic BPF; jump targets are counted from the next one. */
export interface BpfInstruction {
	readonly code: number;
	readonly jt: number;
	readonly jf: number;
	readonly k: number;
}

/** The opcodes used. Source: linux/bpf_common.h. */
export const BPF = { LD_W_ABS: 0x20, JA: 0x05, JEQ: 0x15, JGT: 0x25, JGE: 0x35, AND: 0x54, RET: 0x06 } as const;

/** AUDIT_ARCH_* (linux/audit.h). */
export const ARCH = { x64: 0xc000003e, x86: 0x40000003, arm64: 0xc00000b7 } as const;

const X32_BIT = 0x40000000;
const KILL_THREAD: SeccompAction = 0;
/** Offsets in struct seccomp_data. */
const NR = 0;
const ARCHITECTURE = 4;
const ARGS = 16;
const LOG: SeccompAction = 0x7ffc0000;
const ENOSYS = 38;
const FAIL = -1;
const MAX_JUMP = 255;

/** The filter for this machine (`process.arch`) as the kernel takes it: struct sock_filter, little-endian. Another architecture's calls kill, as libseccomp. */
export function compileProfile(profile: SeccompProfile, architecture: string): Uint8Array {
	return encode(compileFilter(profile, architecture));
}

/** The instructions, for `compileProfile` and for tests. */
export function compileFilter(profile: SeccompProfile, architecture: string): BpfInstruction[] {
	const section = (table: SyscallTable, bits: 32 | 64, offset = 0) => dispatch(profile, table, bits, offset);
	const killed = [ret(KILL_THREAD)];
	if (architecture === "arm64")
		return [load(ARCHITECTURE), ...onArch(ARCH.arm64, [load(NR), ...section(arm64Syscalls(), 64)]), ...killed];
	const also = (name: SeccompArchitecture, body: () => BpfInstruction[]) =>
		profile.architectures.includes(name) ? body() : killed;
	const x32 = also("x32", () => section(x32Syscalls(), 32, X32_BIT));
	const x64 = [load(NR), ...choose(BPF.JGE, X32_BIT, section(x64Syscalls(), 64), x32)];
	const x86 = also("x86", () => [load(NR), ...section(x86Syscalls(), 32)]);
	return [load(ARCHITECTURE), ...onArch(ARCH.x64, x64), ...onArch(ARCH.x86, x86), ...killed];
}

function load(offset: number): BpfInstruction {
	return { code: BPF.LD_W_ABS, jt: 0, jf: 0, k: offset };
}

function ret(action: SeccompAction): BpfInstruction {
	return { code: BPF.RET, jt: 0, jf: 0, k: action };
}

/** `body` (which returns) when the loaded word is `arch`, else on to what follows. */
function onArch(arch: number, body: BpfInstruction[]): BpfInstruction[] {
	return [{ code: BPF.JEQ, jt: 1, jf: 0, k: arch }, { code: BPF.JA, jt: 0, jf: 0, k: body.length }, ...body];
}

/** Both branches return. Conditional jumps reach 255 instructions, JA any. */
function choose(code: number, k: number, no: BpfInstruction[], yes: BpfInstruction[]): BpfInstruction[] {
	if (no.length <= MAX_JUMP) return [{ code, jt: no.length, jf: 0, k }, ...no, ...yes];
	return [{ code, jt: 0, jf: 1, k }, { code: BPF.JA, jt: 0, jf: 0, k: no.length }, ...no, ...yes];
}

interface Interval {
	readonly from: number;
	readonly body: BpfInstruction[];
	/** Neighbours with the same key are merged; a body with conditions has its own. */
	readonly key: string;
}

/** A binary search by number over runs of calls that are treated alike. `bits`: what the architecture's arguments have. */
function dispatch(
	{ defaultAction, rules }: SeccompProfile,
	table: SyscallTable,
	bits: 32 | 64,
	offset: number,
): BpfInstruction[] {
	const byName = new Map<string, SeccompRule[]>();
	for (const rule of rules) for (const name of rule.names) byName.set(name, [...(byName.get(name) ?? []), rule]);
	const numbers = [...table].sort(([, a], [, b]) => a - b);
	const intervals: Interval[] = [interval(offset, defaultAction, [], bits)];
	const add = (next: Interval) => {
		const last = intervals.at(-1);
		if (last?.from === next.from) intervals.pop();
		if (intervals.at(-1)?.key !== next.key) intervals.push(next);
	};
	for (const [name, number] of numbers) {
		add(interval(number + offset, defaultAction, byName.get(name) ?? [], bits));
		add(interval(number + offset + 1, defaultAction, [], bits));
	}
	const last = numbers.findLast(([name]) => byName.has(name))?.[1];
	if (last !== undefined) addUnknown(intervals, defaultAction, last + offset + 1);
	return tree(intervals);
}

/**
 * As runc: what is newer than every call that the profile names does not exist (ENOSYS), or C libraries that try a new call and fall back to an old
 * one would break on a kernel newer than the profile.
 */
function addUnknown(intervals: Interval[], defaultAction: SeccompAction, from: number): void {
	if (defaultAction === ALLOW || defaultAction === LOG) return;
	while ((intervals.at(-1)?.from ?? 0) >= from) intervals.pop();
	intervals.push({ from, body: [ret(refuse(ENOSYS))], key: "unknown" });
}

function tree(intervals: readonly Interval[]): BpfInstruction[] {
	const middle = intervals.length >> 1;
	const pivot = intervals[middle];
	if (middle === 0 || !pivot) return intervals[0]?.body ?? [];
	return choose(BPF.JGE, pivot.from, tree(intervals.slice(0, middle)), tree(intervals.slice(middle)));
}

/** Conditional rules in order, then the unconditional one, then the default. */
function interval(from: number, defaultAction: SeccompAction, rules: readonly SeccompRule[], bits: 32 | 64): Interval {
	const fixed = rules.find((rule) => rule.conditions.length === 0)?.action ?? defaultAction;
	const guarded = rules
		.filter((rule) => rule.conditions.length > 0 && rule.action !== fixed)
		.flatMap((rule) => guard(rule, bits));
	return { from, body: [...guarded, ret(fixed)], key: guarded.length > 0 ? `${from}` : `=${fixed}` };
}

function guard({ conditions, action }: SeccompRule, bits: 32 | 64): BpfInstruction[] {
	const body = [...conditions.flatMap(bits === 64 ? test : testLow), ret(action)];
	// FAIL: past the end of this rule
	const target = (jump: number, at: number) => (jump === FAIL ? body.length - at - 1 : jump);
	return body.map(({ code, jt, jf, k }, at) => ({ code, jt: target(jt, at), jf: target(jf, at), k }));
}

/** Falls through when the condition holds. Arguments are 64 bits, little-endian; BPF compares 32. */
function test({ index, op, value, valueTwo = 0n }: SeccompCondition): BpfInstruction[] {
	const low = load(ARGS + index * 8);
	const high = load(ARGS + index * 8 + 4);
	const [lo, hi] = halves(value);
	const jump = (code: number, k: number, jt: number, jf: number): BpfInstruction => ({ code, jt, jf, k });
	switch (op) {
		case "EQ":
			return [high, jump(BPF.JEQ, hi, 0, FAIL), low, jump(BPF.JEQ, lo, 0, FAIL)];
		case "NE":
			return [high, jump(BPF.JEQ, hi, 0, 2), low, jump(BPF.JEQ, lo, FAIL, 0)];
		case "GT":
		case "GE": {
			const last = jump(op === "GT" ? BPF.JGT : BPF.JGE, lo, 0, FAIL);
			return [high, jump(BPF.JGT, hi, 3, 0), jump(BPF.JEQ, hi, 0, FAIL), low, last];
		}
		case "LT":
		case "LE": {
			const last = jump(op === "LT" ? BPF.JGE : BPF.JGT, lo, FAIL, 0);
			return [high, jump(BPF.JGT, hi, FAIL, 0), jump(BPF.JEQ, hi, 0, 2), low, last];
		}
		case "MASKED_EQ": {
			const [wantLo, wantHi] = halves(valueTwo);
			const and = (k: number) => jump(BPF.AND, k, 0, 0);
			return [high, and(hi), jump(BPF.JEQ, wantHi, 0, FAIL), low, and(lo), jump(BPF.JEQ, wantLo, 0, FAIL)];
		}
	}
}

/** As `test` where arguments have 32 bits: the upper half may hold anything, the kernel passes over it. */
function testLow({ index, op, value, valueTwo = 0n }: SeccompCondition): BpfInstruction[] {
	const low = load(ARGS + index * 8);
	const [lo] = halves(value);
	const jump = (code: number, k: number, jt: number, jf: number): BpfInstruction => ({ code, jt, jf, k });
	switch (op) {
		case "EQ":
			return [low, jump(BPF.JEQ, lo, 0, FAIL)];
		case "NE":
			return [low, jump(BPF.JEQ, lo, FAIL, 0)];
		case "GT":
		case "GE":
			return [low, jump(op === "GT" ? BPF.JGT : BPF.JGE, lo, 0, FAIL)];
		case "LT":
		case "LE":
			return [low, jump(op === "LT" ? BPF.JGE : BPF.JGT, lo, FAIL, 0)];
		case "MASKED_EQ":
			return [low, jump(BPF.AND, lo, 0, 0), jump(BPF.JEQ, halves(valueTwo)[0], 0, FAIL)];
	}
}

function halves(value: bigint): [number, number] {
	return [Number(value & 0xffffffffn), Number((value >> 32n) & 0xffffffffn)];
}

function encode(program: readonly BpfInstruction[]): Uint8Array {
	const bytes = new Uint8Array(program.length * 8);
	const view = new DataView(bytes.buffer);
	program.forEach(({ code, jt, jf, k }, i) => {
		view.setUint16(i * 8, code, true);
		view.setUint8(i * 8 + 2, jt);
		view.setUint8(i * 8 + 3, jf);
		view.setUint32(i * 8 + 4, k >>> 0, true);
	});
	return bytes;
}
