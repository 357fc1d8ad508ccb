import { expect, test } from "bun:test";
import { seccompAnnotation } from "./annotation.ts";
import { ARCH, BPF, type BpfInstruction, compileFilter } from "./compile.ts";
import { ALLOW, defaultProfile, parseProfile, refuse } from "./profile.ts";
import { x64Syscalls, x86Syscalls } from "./syscalls.ts";

/** The kernel's interpreter, as far as these programs go. Throws when a program runs off its end. */
function run(program: readonly BpfInstruction[], arch: number, nr: number, args: readonly bigint[] = []): number {
	const data = new DataView(new ArrayBuffer(64));
	data.setUint32(0, nr, true);
	data.setUint32(4, arch, true);
	args.forEach((arg, i) => {
		data.setBigUint64(16 + i * 8, arg, true);
	});
	let word = 0;
	for (let at = 0; ; at++) {
		const step = program[at];
		if (!step) throw new Error(`ran off the program at ${at}`);
		const { code, k } = step;
		if (code === BPF.RET) return k;
		if (code === BPF.LD_W_ABS) word = data.getUint32(k, true);
		else if (code === BPF.AND) word = (word & k) >>> 0;
		else if (code === BPF.JA) at += k;
		else at += holds(code, word, k) ? step.jt : step.jf;
	}
}

function holds(code: number, word: number, k: number): boolean {
	if (code === BPF.JEQ) return word === k >>> 0;
	return code === BPF.JGT ? word > k >>> 0 : word >= k >>> 0;
}

const x64 = x64Syscalls();
const nr = (name: string) => x64.get(name) ?? -1;
const EPERM = refuse(1);

test("default profile: what every x86_64 call gets equals the profile", () => {
	const profile = defaultProfile([], "x64");
	const program = compileFilter(profile, "x64");
	const allowed = new Set(
		profile.rules.flatMap((rule) => (rule.conditions.length === 0 && rule.action === ALLOW ? rule.names : [])),
	);
	for (const [name, number] of x64) {
		if (["clone", "clone3", "personality", "socket"].includes(name)) continue;
		expect([name, run(program, ARCH.x64, number)]).toEqual([name, allowed.has(name) ? ALLOW : EPERM]);
	}
	expect(run(program, ARCH.x64, 9999)).toBe(EPERM);
	expect(program.length).toBeLessThan(4096);
	expect(program.every(({ jt, jf }) => jt >= 0 && jt <= 255 && jf >= 0 && jf <= 255)).toBe(true);
});

test("default profile: conditions on arguments", () => {
	const program = compileFilter(defaultProfile([], "x64"), "x64");
	const call = (name: string, arg: bigint) => run(program, ARCH.x64, nr(name), [arg]);
	expect([call("socket", 2n), call("socket", 40n)]).toEqual([ALLOW, EPERM]);
	expect([0n, 8n, 0x20000n, 0x20008n, 0xffffffffn].map((arg) => call("personality", arg))).toEqual(
		Array(5).fill(ALLOW),
	);
	expect([call("personality", 0x40000n), call("personality", 0x100000000n)]).toEqual([EPERM, EPERM]);
	expect([call("clone", 0x11n), call("clone", 0x10000011n), call("clone", 0x00020000n)]).toEqual([ALLOW, EPERM, EPERM]);
	expect(call("clone3", 0n)).toBe(refuse(38));
});

test("default profile: capabilities open their calls", () => {
	const admin = compileFilter(defaultProfile(["CAP_SYS_ADMIN"], "x64"), "x64");
	expect(["mount", "clone3", "setns", "chroot"].map((name) => run(admin, ARCH.x64, nr(name), [0x10000000n]))).toEqual([
		ALLOW,
		ALLOW,
		ALLOW,
		EPERM,
	]);
	expect(run(admin, ARCH.x64, nr("clone"), [0x10000000n])).toBe(ALLOW);
});

test("default profile: x86 and x32 have their own numbers, other architectures are killed", () => {
	const program = compileFilter(defaultProfile([], "x64"), "x64");
	const x86 = x86Syscalls();
	expect(run(program, ARCH.x86, x86.get("mount") ?? -1)).toBe(EPERM);
	expect(run(program, ARCH.x86, x86.get("write") ?? -1)).toBe(ALLOW);
	expect(run(program, ARCH.x64, 0x40000000 + 516)).toBe(ALLOW); // x32 writev
	expect(run(program, ARCH.x64, 0x40000000 + 165)).toBe(EPERM); // x32 mount
	expect(run(program, ARCH.arm64, 64)).toBe(0);
	expect(run(compileFilter(defaultProfile([], "arm64"), "arm64"), ARCH.arm64, 64)).toBe(ALLOW);
});

test("a user's profile: every operator, on both halves of 64 bits", () => {
	const value = 0x1_0000_0005;
	const verdicts = (op: string, args: bigint[], valueTwo?: number) => {
		const syscalls = [
			{ names: ["read"], action: "SCMP_ACT_ERRNO", errnoRet: 7, args: [{ index: 1, value, valueTwo, op }] },
		];
		const program = compileFilter(parseProfile({ defaultAction: "SCMP_ACT_ALLOW", syscalls }, [], "x64"), "x64");
		return args.map((arg) => run(program, ARCH.x64, nr("read"), [0n, arg]) === refuse(7));
	};
	const around = [0x1_0000_0004n, 0x1_0000_0005n, 0x1_0000_0006n, 0x0_0000_0009n, 0x2_0000_0001n];
	expect(verdicts("SCMP_CMP_EQ", around)).toEqual([false, true, false, false, false]);
	expect(verdicts("SCMP_CMP_NE", around)).toEqual([true, false, true, true, true]);
	expect(verdicts("SCMP_CMP_LT", around)).toEqual([true, false, false, true, false]);
	expect(verdicts("SCMP_CMP_LE", around)).toEqual([true, true, false, true, false]);
	expect(verdicts("SCMP_CMP_GT", around)).toEqual([false, false, true, false, true]);
	expect(verdicts("SCMP_CMP_GE", around)).toEqual([false, true, true, false, true]);
	expect(verdicts("SCMP_CMP_MASKED_EQ", around, 4)).toEqual([false, false, false, false, false]);
	expect(verdicts("SCMP_CMP_MASKED_EQ", [0x4n, 0xcn, 0x6n], 4)).toEqual([true, true, true]);
});

test("a user's profile: unknown actions are refused by name", () => {
	expect(() => parseProfile({ defaultAction: "SCMP_ACT_NOTIFY" }, [], "x64")).toThrow(
		'"SCMP_ACT_NOTIFY" is not supported',
	);
});

test("seccompAnnotation() is empty for unconfined, and the same filter for the same capabilities", () => {
	expect(seccompAnnotation("unconfined", [])).toEqual({});
	expect(seccompAnnotation("default", ["CAP_CHOWN", "CAP_KILL"])).toEqual(
		seccompAnnotation("default", ["CAP_KILL", "CAP_CHOWN"]),
	);
});
