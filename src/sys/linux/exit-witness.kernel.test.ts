import { expect, test } from "bun:test";
import { ExitEvents } from "./exit-events.ts";
import { ExitWitness, pidfdsTell } from "./exit-witness.ts";
import { killProcess } from "./process.ts";

/** A process whose parent has gone: someone else reaps it. */
function orphan(script: string): number {
	const command = `sh -c '${script}' >/dev/null 2>&1 </dev/null & echo $!`;
	return Number(Bun.spawnSync(["sh", "-c", command]).stdout.toString());
}

/** The first code it tells. */
async function codeOf(witness: ExitWitness, pid: number): Promise<number | undefined> {
	for (let tries = 0; tries < 400; tries++) {
		await Bun.sleep(10);
		if (await Bun.file(`/proc/${pid}/stat`).exists()) continue;
		return witness.take(pid);
	}
	throw new Error(`process ${pid} is still there`);
}

for (const [means, events] of [
	["its pidfd", undefined],
	["the kernel's process events", () => new ExitEvents()],
] as const) {
	test.skipIf(!events && !pidfdsTell(await Bun.file("/proc/sys/kernel/osrelease").text()))(
		`the exit code of a stranger is learnt by ${means}, after it was reaped`,
		async () => {
			using witness = new ExitWitness(events?.());
			const ended = orphan("sleep 0.2; exit 7");
			const killed = orphan("sleep 0.2; kill -9 $$");
			const unwatched = orphan("sleep 0.2; exit 8");
			const living = orphan("exec sleep 20");
			for (const pid of [ended, killed, living]) witness.watch(pid);
			// Many others come and go: what they tell is not kept.
			Bun.spawnSync(["sh", "-c", "for i in $(seq 300); do /bin/true; done"]);
			expect(await codeOf(witness, ended)).toBe(7);
			expect(await codeOf(witness, killed)).toBe(137);
			expect(witness.take(unwatched)).toBeUndefined();
			expect(witness.take(living)).toBeUndefined();
			killProcess(living, 9);
			expect(witness.take(ended)).toBeUndefined();
		},
	);
}

test("kernels whose pidfds tell exit codes are known by their version", () => {
	const versions = ["5.10.0-30-amd64", "6.1.0-31-amd64", "6.14.9", "6.15.0-rc1", "6.18.44", "7.0.0", "10.2"];
	expect(versions.map(pidfdsTell)).toEqual([false, false, false, true, true, true, true]);
});

test("the exit code of one that nobody has reaped is learnt", async () => {
	using witness = new ExitWitness();
	// Its parent never waits.
	const command = "sh -c 'sleep 0.2; exit 9' & echo $!; exec sleep 3";
	const parent = Bun.spawn(["sh", "-c", command], { stdout: "pipe" });
	const { value } = await parent.stdout.getReader().read();
	const pid = Number(Buffer.from(value ?? new Uint8Array()).toString());
	try {
		witness.watch(pid);
		for (let tries = 0; !(await stateOf(pid)).includes("Z"); tries++) {
			if (tries > 200) throw new Error(`process ${pid} has not ended`);
			await Bun.sleep(5);
		}
		expect(witness.take(pid)).toBe(9);
	} finally {
		parent.kill();
		await parent.exited;
	}
});

async function stateOf(pid: number): Promise<string> {
	return (await Bun.file(`/proc/${pid}/stat`).text()).split(") ")[1]?.[0] ?? "";
}
