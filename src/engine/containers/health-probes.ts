import type { Duplex } from "node:stream";
import { EngineError, messageOf } from "../../shared/errors.ts";
import { whenEnded } from "../../shared/stream-end.ts";
import { nowNano } from "../../shared/time.ts";
import { type Context, change, publish } from "./context.ts";
import type { Execs } from "./contract.ts";
import { goDuration, judged, nextProbe, type ProbePlan, probeOutput, probePlan } from "./health.ts";
import type { ContainerRecord, ProbeResult } from "./record.ts";

/** More than is kept, so that a cut shows. */
const READ_BYTES = 4097;
/** Node's timers hold no longer. */
const LONGEST = 2 ** 31 - 1;

/** Runs the health checks of running containers, each by a timer of its own; nothing else polls. */
export interface HealthProbes {
	/** After each change of a container's state: probes begin when it runs, and end when it does not. */
	follow(id: string): void;
	close(): void;
}

interface Round {
	/** Of the run that is probed. */
	readonly startedAt: string;
	timer?: ReturnType<typeof setTimeout>;
}

export function createHealthProbes(context: () => Context, execs: Execs): HealthProbes {
	const rounds = new Map<string, Round>();
	/** The record while this round is the one that goes on. */
	const live = (id: string, round: Round) => {
		const record = context().store.get(id);
		return record && rounds.get(id) === round && record.state.status === "running" ? record : undefined;
	};

	const schedule = (record: ContainerRecord, plan: ProbePlan, round: Round) => {
		const wait = nextProbe(plan, record.health?.status ?? "starting", round.startedAt, Date.now());
		round.timer = setTimeout(() => void turn(record.id, plan, round), Math.min(wait, LONGEST));
	};

	const turn = async (id: string, plan: ProbePlan, round: Round) => {
		if (!live(id, round)) return;
		const result = await probe(context(), execs, id, plan);
		const record = live(id, round);
		if (!record) return;
		conclude(record, result, plan, round);
		const next = live(id, round);
		if (next) schedule(next, plan, round);
	};

	const conclude = (record: ContainerRecord, result: ProbeResult, plan: ProbePlan, round: Round) => {
		const before = record.health ?? { status: "starting", failingStreak: 0, log: [] };
		const health = judged(before, result, plan, round.startedAt);
		const changed = health.status !== before.status;
		// The log alone is not worth a commit.
		if (changed || health.failingStreak !== before.failingStreak) change(context(), record.id, { health });
		else context().store.show({ ...record, health });
		if (changed) publish(context(), record, `health_status: ${health.status}`);
	};

	const stop = (id: string) => {
		clearTimeout(rounds.get(id)?.timer);
		rounds.delete(id);
	};

	return {
		follow: (id) => {
			const record = context().store.get(id);
			const plan = record && probePlan(record.config);
			stop(id);
			if (!plan || record.state.status !== "running") return;
			const round: Round = { startedAt: record.state.startedAt };
			rounds.set(id, round);
			schedule(record, plan, round);
		},
		close: () => {
			for (const id of [...rounds.keys()]) stop(id);
		},
	};
}

/** One probe, as an exec of the container. */
async function probe(context: Context, execs: Execs, id: string, plan: ProbePlan): Promise<ProbeResult> {
	const start = nowNano();
	const ended = (exitCode: number, output: string) => ({ start, end: nowNano(), exitCode, output });
	let stream: Duplex | undefined;
	let timer: ReturnType<typeof setTimeout> | undefined;
	try {
		const exec = await execs.create(id, execConfig(plan.command));
		({ stream } = await execs.start(exec.id, { tty: false }));
		const late = Promise.withResolvers<"late">();
		timer = setTimeout(() => late.resolve("late"), Math.min(plan.timeout, LONGEST));
		const output = collect(stream);
		const whole = await Promise.race([output.done, late.promise]);
		const text = probeOutput(output.bytes());
		if (whole === "late") {
			await context.runtime.kill(exec.id, 9).catch(() => {});
			const message = `Health check exceeded timeout (${goDuration(plan.timeout)})`;
			return ended(-1, text ? `${message}: ${text}` : message);
		}
		const { state } = execs.inspect(exec.id);
		return ended(state.status === "exited" ? state.exitCode : -1, text);
	} catch (error) {
		if (!(error instanceof EngineError)) throw error;
		return ended(-1, messageOf(error));
	} finally {
		clearTimeout(timer);
		stream?.destroy();
	}
}

function execConfig(command: string[]) {
	return {
		AttachStdin: false,
		AttachStdout: true,
		AttachStderr: true,
		Tty: false,
		Cmd: command,
		Env: [],
		User: "",
		WorkingDir: "",
		Privileged: false,
		DetachKeys: "",
	};
}

/** Payload of the multiplexed frames, as much as is kept of it. */
function collect(stream: Duplex): { done: Promise<"whole">; bytes: () => Buffer } {
	let pending = Buffer.alloc(0);
	const kept: Buffer[] = [];
	let size = 0;
	const take = (chunk: Buffer) => {
		pending = Buffer.concat([pending, chunk]);
		while (pending.length >= 8 && pending.length >= 8 + pending.readUInt32BE(4)) {
			const end = 8 + pending.readUInt32BE(4);
			const payload = pending.subarray(8, end);
			pending = pending.subarray(end);
			if (size < READ_BYTES) kept.push(payload);
			size += payload.length;
		}
	};
	const { promise, resolve } = Promise.withResolvers<"whole">();
	stream.on("data", take);
	whenEnded(stream, () => resolve("whole"));
	stream.once("close", () => resolve("whole"));
	stream.once("error", () => resolve("whole"));
	// It may come paused.
	stream.resume();
	return { done: promise, bytes: () => Buffer.concat(kept) };
}
