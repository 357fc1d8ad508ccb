import { PassThrough } from "node:stream";
import type {
	ExecRequest,
	ObservedProcess,
	ProcessExit,
	ResourceUsage,
	RuntimeDriver,
	StartRequest,
} from "../../../drivers/runtime/driver.ts";
import { EngineError } from "../../../shared/errors.ts";
import { nowNano } from "../../../shared/time.ts";

/** Processes as data: they end when told to, or by the signals they obey. */
export class FakeRuntime implements RuntimeDriver {
	samples = 0;
	readonly updates: [string, object][] = [];
	readonly processes = new Map<string, ObservedProcess>();
	readonly started: StartRequest[] = [];
	readonly execs: ExecRequest[] = [];
	readonly signals: [string, number][] = [];
	readonly released: string[] = [];
	/** Thrown by the next start or exec. */
	failure: unknown;
	/** Ends a process at once, before its start has answered. */
	quickExit: number | undefined;
	obeys: readonly number[] = [9, 15];
	private deliver: (exit: ProcessExit) => void = () => {};
	private nextPid = 100;

	async open(onExit: (exit: ProcessExit) => void): Promise<void> {
		this.deliver = onExit;
	}

	async start(request: StartRequest) {
		this.started.push(request);
		return this.begin(request.containerId, request.containerId);
	}

	async exec(request: ExecRequest) {
		this.execs.push(request);
		return this.begin(request.execId, request.containerId, request.note);
	}

	exit(processId: string, exitCode: number, oomKilled = false): void {
		const process = this.processes.get(processId);
		if (!process || process.exit) return;
		const exit = { processId, containerId: process.containerId, exitCode, oomKilled, exitedAt: nowNano() };
		this.processes.set(processId, { ...process, exit });
		this.deliver(exit);
	}

	async attach() {
		return new PassThrough();
	}

	async kill(processId: string, signal: number): Promise<void> {
		const process = this.processes.get(processId);
		if (!process || process.exit) throw new EngineError("conflict", `process ${processId} is not running`);
		this.signals.push([processId, signal]);
		if (this.obeys.includes(signal)) setTimeout(() => this.exit(processId, 128 + signal));
	}

	async release(processId: string): Promise<void> {
		this.released.push(processId);
		this.processes.delete(processId);
	}

	async resize(): Promise<void> {}
	async pause(): Promise<void> {}
	async resume(): Promise<void> {}
	async close(): Promise<void> {}

	async usage(containerId: string): Promise<ResourceUsage> {
		if (!this.processes.has(containerId)) throw new EngineError("conflict", `process ${containerId} is not running`);
		this.samples++;
		return fakeUsage(this.samples);
	}
	async update(containerId: string, resources: object): Promise<void> {
		if (this.failure) throw this.failure;
		this.updates.push([containerId, resources]);
	}
	async pids(containerId: string): Promise<number[]> {
		return [...this.processes.values()].filter((one) => one.containerId === containerId).map(({ pid }) => pid);
	}

	async list(): Promise<ObservedProcess[]> {
		return [...this.processes.values()];
	}

	private begin(processId: string, containerId: string, note?: object) {
		if (this.failure !== undefined) {
			const { failure } = this;
			this.failure = undefined;
			throw failure;
		}
		const started = { pid: this.nextPid++, startedAt: nowNano() };
		this.processes.set(processId, { processId, containerId, ...started, note });
		if (this.quickExit !== undefined) this.exit(processId, this.quickExit);
		return started;
	}
}

function fakeUsage(total: number): ResourceUsage {
	return {
		version: 1,
		cpu: { total, user: 0, kernel: 0, periods: 0, throttledPeriods: 0, throttledTime: 0 },
		memory: { usage: 1, limit: 2 ** 40, stats: {} },
		blockIo: { serviceBytes: [] },
		pids: { current: 1 },
		networks: {},
		system: { cpu: total * 100, onlineCpus: 2, memory: 2 ** 30 },
	};
}
