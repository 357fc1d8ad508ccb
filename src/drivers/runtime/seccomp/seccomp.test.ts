import { expect, test } from "bun:test";
import { seccompAnnotation } from "./annotation.ts";
import { ARCH, BPF, type BpfInstruction, compileFilter } from "./compile.ts";
import { ALLOW, defaultProfile, refuse, type SeccompProfile } from "./profile.ts";
import { parseProfile, readProfileJson } from "./profile-json.ts";
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
const ENOSYS = refuse(38);
const KILLED = 0;
const AF_VSOCK = 40n;

function parse(json: unknown, capabilities: readonly string[] = [], kernel = "6.1.0-13-amd64"): SeccompProfile {
	return parseProfile(readProfileJson(JSON.stringify(json)), { capabilities, architecture: "x64", kernel });
}

test("default profile: what every x86_64 call gets equals the profile", () => {
	const profile = defaultProfile([], "x64");
	const program = compileFilter(profile, "x64");
	const allowed = new Set(
		profile.rules.flatMap((rule) => (rule.conditions.length === 0 && rule.action === ALLOW ? rule.names : [])),
	);
	for (const [name, number] of x64) {
		if (["clone", "clone3", "personality", "socket", "open_tree_attr"].includes(name)) continue;
		expect([name, run(program, ARCH.x64, number)]).toEqual([name, allowed.has(name) ? ALLOW : EPERM]);
	}
	expect(run(program, ARCH.x64, 400)).toBe(EPERM);
	expect(program.length).toBeLessThan(4096);
	expect(program.every(({ jt, jf }) => jt >= 0 && jt <= 255 && jf >= 0 && jf <= 255)).toBe(true);
});

test("default profile: calls newer than the profile do not exist, for every architecture", () => {
	const program = compileFilter(defaultProfile([], "x64"), "x64");
	const last = nr("removexattrat");
	expect([last, last + 1, 9999].map((number) => run(program, ARCH.x64, number))).toEqual([ALLOW, ENOSYS, ENOSYS]);
	expect(run(program, ARCH.x86, last + 1)).toBe(ENOSYS);
	expect(run(program, ARCH.x64, 0x40000000 + 548)).toBe(ENOSYS);
	const open = compileFilter(parse({ defaultAction: "SCMP_ACT_ALLOW", syscalls: [] }), "x64");
	expect(run(open, ARCH.x64, 9999)).toBe(ALLOW);
});

test("default profile: the upper half of an int argument evades nothing", () => {
	const program = compileFilter(defaultProfile([], "x64"), "x64");
	const high = 0x7_0000_0000n;
	expect(run(program, ARCH.x64, nr("socket"), [AF_VSOCK | high])).toBe(EPERM);
	const x86 = (name: string, arg: bigint) => run(program, ARCH.x86, x86Syscalls().get(name) ?? -1, [arg]);
	expect([x86("socket", 2n), x86("socket", AF_VSOCK), x86("socket", AF_VSOCK | high)]).toEqual([ALLOW, EPERM, EPERM]);
	expect([x86("personality", 0xffffffffffffffffn), x86("personality", 0x40000n)]).toEqual([ALLOW, EPERM]);
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
	const names = ["lsm_get_self_attr", "mount", "clone3", "setns", "chroot"];
	expect(names.map((name) => run(admin, ARCH.x64, nr(name), [0x10000000n]))).toEqual([
		ALLOW,
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
		const program = compileFilter(parse({ defaultAction: "SCMP_ACT_ALLOW", syscalls }), "x64");
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

test("a user's profile: its architectures, and no others", () => {
	const verdicts = (more: object) => {
		const program = compileFilter(parse({ defaultAction: "SCMP_ACT_ALLOW", ...more }), "x64");
		return [run(program, ARCH.x64, 0), run(program, ARCH.x86, 3), run(program, ARCH.x64, 0x40000000)];
	};
	expect(verdicts({})).toEqual([ALLOW, KILLED, KILLED]);
	expect(verdicts({ architectures: ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86"] })).toEqual([ALLOW, ALLOW, KILLED]);
	const archMap = [
		{ architecture: "SCMP_ARCH_X86_64", subArchitectures: ["SCMP_ARCH_X32"] },
		{ architecture: "SCMP_ARCH_AARCH64", subArchitectures: ["SCMP_ARCH_ARM", "SCMP_ARCH_X86"] },
	];
	expect(verdicts({ archMap })).toEqual([ALLOW, KILLED, ALLOW]);
	expect(verdicts({ architectures: ["SCMP_ARCH_ARM"] })).toEqual([ALLOW, KILLED, KILLED]);
	expect(() => verdicts({ archMap, architectures: ["SCMP_ARCH_X86"] })).toThrow("use either");
	expect(() => verdicts({ architectures: ["SCMP_ARCH_FOO"] })).toThrow(
		"string SCMP_ARCH_FOO is not a valid arch for seccomp",
	);
});

test("a user's profile: entries apply by kernel, capability and machine", () => {
	const refused = (filter: object, capabilities: string[] = []) => {
		const syscalls = [{ names: ["mkdir"], action: "SCMP_ACT_ERRNO", ...filter }];
		const program = compileFilter(parse({ defaultAction: "SCMP_ACT_ALLOW", syscalls }, capabilities), "x64");
		return run(program, ARCH.x64, nr("mkdir")) === EPERM;
	};
	const kernels = ["4.8", "6.1", "6.2", "6.10", "10.0"];
	expect(kernels.map((minKernel) => refused({ includes: { minKernel } }))).toEqual([true, true, false, false, false]);
	expect(kernels.map((minKernel) => refused({ excludes: { minKernel } }))).toEqual([false, false, true, true, true]);
	expect(refused({ includes: { caps: ["CAP_KILL"] } })).toBe(false);
	expect(refused({ includes: { caps: ["CAP_KILL"] } }, ["CAP_KILL"])).toBe(true);
	expect(refused({ excludes: { caps: ["CAP_KILL"] } }, ["CAP_KILL"])).toBe(false);
	expect([refused({ includes: { arches: ["s390"] } }), refused({ excludes: { arches: ["amd64"] } })]).toEqual([
		false,
		false,
	]);
});

test("a user's profile: 64-bit values stay exact, an argument named twice takes either, actions carry their data", () => {
	const text = `{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[
		{"names":["mkdir"],"action":"SCMP_ACT_ERRNO","args":[{"index":0,"value":18446744073709551615,"op":"SCMP_CMP_EQ"}]},
		{"name":"rmdir","action":"SCMP_ACT_TRACE","errnoRet":9,"args":[
			{"index":0,"value":1,"op":"SCMP_CMP_EQ"},{"index":0,"value":2,"op":"SCMP_CMP_EQ"}]}]}`;
	const facts = { capabilities: [], architecture: "x64", kernel: "6.1" };
	const program = compileFilter(parseProfile(readProfileJson(text), facts), "x64");
	const call = (name: string, arg: bigint) => run(program, ARCH.x64, nr(name), [arg]);
	expect([call("mkdir", 0xffffffffffffffffn), call("mkdir", 0n)]).toEqual([EPERM, ALLOW]);
	expect([call("rmdir", 1n), call("rmdir", 2n), call("rmdir", 3n)]).toEqual([0x7ff00009, 0x7ff00009, ALLOW]);
});

test.each<[string, object]>([
	['seccomp action "SCMP_ACT_NOTIFY" is not supported', { defaultAction: "SCMP_ACT_NOTIFY" }],
	["no defaultAction", {}],
	["syscalls: expected a list", { syscalls: { names: "mkdir" } }],
	["names: expected strings", { syscalls: [{ names: [7], action: "SCMP_ACT_ALLOW" }] }],
	["use either 'name' or 'names'", { syscalls: [{ name: "mkdir", names: ["rmdir"], action: "SCMP_ACT_ALLOW" }] }],
	['seccomp flag "SECCOMP_FILTER_FLAG_LOG" is not supported', { flags: ["SECCOMP_FILTER_FLAG_LOG"] }],
	['seccomp listenerPath "/x" is not supported', { listenerPath: "/x" }],
	["includes.minKernel", { syscalls: [{ names: [], action: "SCMP_ACT_ALLOW", includes: { minKernel: "six" } }] }],
	[
		"syscall mkdir: syscalls only have up to 6 arguments (6 given)",
		{ syscalls: [{ names: ["mkdir"], action: "SCMP_ACT_ALLOW", args: [{ index: 6, value: 1, op: "SCMP_CMP_EQ" }] }] },
	],
	[
		"args.value -1",
		{ syscalls: [{ names: ["mkdir"], action: "SCMP_ACT_ALLOW", args: [{ index: 0, value: -1, op: "SCMP_CMP_EQ" }] }] },
	],
])("a user's profile is refused: %s", (message, more) => {
	const base = message === "no defaultAction" ? {} : { defaultAction: "SCMP_ACT_ALLOW" };
	expect(() => parse({ ...base, ...more })).toThrow(message);
});

test("seccompAnnotation() is empty for unconfined, and the same filter for the same capabilities", () => {
	expect(seccompAnnotation("unconfined", [])).toEqual({});
	expect(seccompAnnotation("default", ["CAP_CHOWN", "CAP_KILL"])).toEqual(
		seccompAnnotation("default", ["CAP_KILL", "CAP_CHOWN"]),
	);
});
