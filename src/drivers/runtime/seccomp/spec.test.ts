import { expect, test } from "bun:test";
import { defaultProfile, type SeccompRule } from "./profile.ts";
import { seccompSpec, toSpec, withoutExceptions } from "./spec.ts";

const spec = (json: object) => seccompSpec({ json: JSON.stringify(json) }, []);

test("unconfined is no filter", () => {
	expect(seccompSpec("unconfined", [])).toBeUndefined();
});

test("a profile in the specification's words", () => {
	const made = spec({
		defaultAction: "SCMP_ACT_ERRNO",
		defaultErrnoRet: 38,
		architectures: ["SCMP_ARCH_X86"],
		syscalls: [
			{ names: ["read", "write"], action: "SCMP_ACT_ALLOW" },
			{ names: ["kill"], action: "SCMP_ACT_KILL_PROCESS" },
			{ names: ["mknod"], action: "SCMP_ACT_TRACE", errnoRet: 7 },
			{
				names: ["socket"],
				action: "SCMP_ACT_LOG",
				args: [{ index: 1, op: "SCMP_CMP_MASKED_EQ", value: 15, valueTwo: 2 }],
			},
		],
	});
	expect(made?.syscalls).toEqual([
		{ names: ["read", "write"], action: "SCMP_ACT_ALLOW" },
		{ names: ["kill"], action: "SCMP_ACT_KILL_PROCESS" },
		{ names: ["mknod"], action: "SCMP_ACT_TRACE", errnoRet: 7 },
		{
			names: ["socket"],
			action: "SCMP_ACT_LOG",
			args: [{ index: 1, op: "SCMP_CMP_MASKED_EQ", value: 15, valueTwo: 2 }],
		},
	]);
	expect(made).toMatchObject({ defaultAction: "SCMP_ACT_ERRNO", defaultErrnoRet: 38 });
});

test("architectures are the machine's own and those of its family", () => {
	const profile = { ...defaultProfile([], "x64") };
	expect(toSpec(profile, "x64").architectures).toEqual(["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"]);
	expect(toSpec(profile, "arm64").architectures).toEqual(["SCMP_ARCH_AARCH64"]);
});

test("numbers of 64 bits stay exact", () => {
	const text = `{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["read"],"action":"SCMP_ACT_ERRNO","args":[{"index":0,"op":"SCMP_CMP_EQ","value":18446744073709551615}]}]}`;
	expect(JSON.stringify(seccompSpec({ json: text }, []))).toContain('"value":18446744073709551615');
});

test("the default profile names no call with and without conditions: libseccomp would forget the conditions", () => {
	for (const capabilities of [[], ["CAP_SYS_ADMIN"], ["CAP_SYS_PTRACE", "CAP_SYSLOG"]]) {
		const rules = withoutExceptions(defaultProfile(capabilities, "x64"));
		const free = new Set(rules.filter(({ conditions }) => conditions.length === 0).flatMap(({ names }) => names));
		const bound = rules.filter(({ conditions }) => conditions.length > 0).flatMap(({ names }) => names);
		expect(bound.filter((name) => free.has(name))).toEqual([]);
		expect(bound).toContain("socket");
	}
});

/** Whether some rule for `socket` lets this family through. */
function allows(rules: readonly SeccompRule[], family: bigint): boolean {
	return rules.some(
		({ names, conditions }) =>
			names.includes("socket") && conditions.every(({ value, valueTwo = 0n }) => (family & value) === valueTwo),
	);
}

test("of socket families all but vsock are let through, whatever is in the upper half", () => {
	const rules = withoutExceptions(defaultProfile([], "x64"));
	for (let family = 0n; family < 64n; family++)
		expect([family, allows(rules, family)]).toEqual([family, family !== 40n]);
	expect(allows(rules, (1n << 32n) | 40n)).toBe(false);
	expect(allows(rules, (1n << 32n) | 2n)).toBe(true);
});
