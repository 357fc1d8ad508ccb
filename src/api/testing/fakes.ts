import { Duplex } from "node:stream";
import type { CommitOptions, Containers, CreateRequest, Execs } from "../../engine/containers/contract.ts";
import type { ContainerRecord, ContainerState } from "../../engine/containers/record.ts";
import type { StatsPair } from "../../engine/containers/stats.ts";
import type { EngineEvent, Events } from "../../engine/events.ts";
import type { Images } from "../../engine/images/contract.ts";
import type { Networks } from "../../engine/networks/contract.ts";
import { findNetwork } from "../../engine/networks/find.ts";
import type { SystemFacts } from "../../engine/system.ts";
import { EngineError } from "../../shared/errors.ts";
import { createId } from "../../shared/id.ts";
import { decodeCreate } from "../containers/schema.ts";

/** A record as the engine would store it. */
export function fakeRecord(name: string, state: ContainerState, body: Record<string, unknown> = {}): ContainerRecord {
	const { config, hostConfig } = decodeCreate({ Image: "busybox", Cmd: ["true"], ...body }, "Config");
	return {
		id: createId(),
		name,
		created: new Date().toISOString(),
		imageId: `sha256:${"a".repeat(64)}`,
		imageChain: [`sha256:${"b".repeat(64)}`],
		path: "true",
		args: [],
		config,
		hostConfig,
		state,
		restartCount: 0,
		stoppedByUser: false,
		execIds: [],
	};
}

/** A stream that sends back what it gets and ends when its input ends. */
export function echoStream(prefix = ""): Duplex {
	let waiting: (() => void) | undefined;
	const stream = new Duplex({
		allowHalfOpen: true,
		write(chunk, _encoding, done) {
			if (this.push(chunk)) done();
			else waiting = done;
		},
		final(done) {
			this.push(null);
			done();
		},
		read() {
			const go = waiting;
			waiting = undefined;
			go?.();
		},
	});
	if (prefix) stream.push(prefix);
	return stream;
}

async function* chunksOf(texts: readonly string[]): AsyncGenerator<Uint8Array> {
	for (const text of texts) yield Buffer.from(text);
}

/** Containers in memory: enough of the contract's behaviour for the HTTP side of it. */
export class FakeContainers implements Containers {
	revision = 0;
	readonly records: ContainerRecord[] = [];
	readonly calls: unknown[][] = [];
	detachedCount = 0;
	aborted = 0;
	tty = false;
	stream: () => Duplex = () => echoStream();
	/** Ends the waits that are open. */
	readonly exit = Promise.withResolvers<number>();

	add(record: ContainerRecord): ContainerRecord {
		this.records.unshift(record);
		this.revision++;
		return record;
	}
	async create(request: CreateRequest) {
		this.calls.push(["create", request]);
		return { id: "c".repeat(64), warnings: [] };
	}
	async start(ref: string) {
		if (this.inspect(ref).state.status === "running") throw new EngineError("not-modified", "running");
	}
	async stop(ref: string, options: { signal?: string; timeout?: number }) {
		this.calls.push(["stop", this.inspect(ref).name, options]);
	}
	async restart(ref: string) {
		this.inspect(ref);
	}
	async kill(ref: string, signal: string) {
		this.calls.push(["kill", this.inspect(ref).name, signal]);
	}
	async pause() {}
	async unpause() {}
	async rename() {}
	async connect(ref: string, network: string, endpoint: object) {
		this.calls.push(["connect", this.inspect(ref).name, network, endpoint]);
	}
	async disconnect(ref: string, network: string) {
		this.calls.push(["disconnect", this.inspect(ref).name, network]);
	}
	async remove(ref: string, options: { force: boolean; volumes: boolean; link: boolean }) {
		this.calls.push(["remove", this.inspect(ref).name, options]);
	}
	async wait(ref: string, _condition: string, signal: AbortSignal, registered: () => void) {
		this.inspect(ref);
		registered();
		const gone = Promise.withResolvers<never>();
		signal.addEventListener("abort", () => {
			this.aborted++;
			gone.reject(new EngineError("cancelled", "client left"));
		});
		return { exitCode: await Promise.race([this.exit.promise, gone.promise]) };
	}
	inspect(ref: string): ContainerRecord {
		const found = this.records.find((one) => one.name === ref || one.id.startsWith(ref));
		if (!found) throw new EngineError("not-found", `No such container: ${ref}`);
		return found;
	}
	linkNames() {
		return new Map<string, string[]>();
	}

	list() {
		return this.records;
	}
	revisionOf() {
		return this.revision;
	}
	logs(ref: string, _request: unknown, signal: AbortSignal) {
		this.inspect(ref);
		const self = this;
		async function* chunks() {
			yield new TextEncoder().encode("first");
			const gone = Promise.withResolvers<void>();
			signal.addEventListener("abort", () => gone.resolve());
			await gone.promise;
			self.aborted++;
		}
		return { tty: this.tty, chunks: chunks() };
	}
	async attach(ref: string) {
		this.inspect(ref);
		return { tty: this.tty, stream: this.stream(), detached: () => void this.detachedCount++ };
	}
	async resize(ref: string, rows: number, columns: number) {
		this.calls.push(["resize", this.inspect(ref).name, rows, columns]);
	}
	async top() {
		return { Titles: ["PID"], Processes: [["1"]] };
	}
	rootPaths(id: string) {
		return { ID: id, UpperDir: `/data/${id}` };
	}

	async update(ref: string, request: object) {
		this.calls.push(["update", ref, request]);
		return { warnings: [] };
	}
	async *stats(): AsyncGenerator<StatsPair> {
		yield { current: { id: "c1", name: "web" } };
	}
	async statsOnce(): Promise<StatsPair> {
		return { current: { id: "c1", name: "web" } };
	}
	async statPath(ref: string, path: string) {
		this.calls.push(["statPath", ref, path]);
		return { name: "x", size: 3, mode: 0o104755, mtimeNs: 1_000_000_000n, linkTarget: "" };
	}
	async archive(ref: string, path: string) {
		return { stat: await this.statPath(ref, path), body: chunksOf(["tar"]) };
	}
	async extract(ref: string, path: string, body: AsyncIterable<Uint8Array>, options: object) {
		this.calls.push(["extract", ref, path, options, Buffer.concat(await Array.fromAsync(body)).toString()]);
	}
	async commit(ref: string, options: CommitOptions) {
		this.calls.push(["commit", this.inspect(ref).name, options]);
		return { id: "sha256:0" };
	}
	async *exportRoot(ref: string) {
		yield new TextEncoder().encode(this.inspect(ref).name);
	}
	async changes() {
		return [{ path: "/new", kind: "added" as const }];
	}
	async sizes() {
		return { rw: 1, rootFs: 2 };
	}
}

/** One exec, "e1", which echoes. */
export function fakeExecs(): Execs {
	const missing = (id: string) => new EngineError("not-found", `No such exec instance: ${id}`);
	return {
		create: async () => ({ id: "e1" }),
		start: async () => ({ tty: false, stream: echoStream(), detached: () => {} }),
		startDetached: async () => {},
		inspect(id) {
			if (id !== "e1") throw missing(id);
			const config = { AttachStdin: true, AttachStdout: true, AttachStderr: true, Tty: false, Cmd: ["sh"], Env: [] };
			const more = { User: "", WorkingDir: "", Privileged: false, DetachKeys: "" };
			return { id, containerId: "c", config: { ...config, ...more }, state: { status: "exited", exitCode: 3, pid: 9 } };
		},
		resize: async () => {},
	};
}

export function fakeImages(): Images {
	const missing = (ref: string) => new EngineError("not-found", `No such image: ${ref}`);
	return {
		resolve(ref) {
			throw missing(ref);
		},
		requirePlatform: () => {},
		list: () => [],
		prune: async () => ({ deleted: [], reclaimed: 0 }),
		usage: () => ({ sharedSizes: new Map(), layersSize: 0 }),
		manifests: () => [],
		userCount: () => 0,
		describe: async (name) => {
			throw missing(name);
		},
		search: async () => [],
		login: async () => ({ status: "Login Succeeded", identityToken: "" }),
		resolvePlatform(ref) {
			throw missing(ref);
		},
		keptManifests: () => [],
		async *check() {},
		commit: async () => ({ id: "sha256:0" }),
		async *save() {},
		async *pull() {},
		async *push() {},
		async *load() {},
		addStep: async () => {
			throw missing("sha256:0");
		},
		findStep: () => undefined,
		importTar: async () => "sha256:0",
		importUrl: async () => "sha256:0",
		tag: () => {},
		remove: async () => [],
		history: () => [],
		revision: 0,
	};
}

/** Sends the given events, then ends. */
export function fakeEvents(sent: readonly EngineEvent[]): Events {
	return {
		publish: () => {},
		async *subscribe() {
			yield* sent;
		},
	};
}

/** The bridge alone; what would change it is refused as the engine refuses it. */
export function fakeNetworks(): Networks {
	const network = { id: "f".repeat(64), name: "bridge", driver: "bridge", created: "2026-01-01T00:00:00Z" } as const;
	const list = () => [{ ...network, subnet: "172.30.0.0/16", gateway: "172.30.0.1", bridge: "fd0", endpoints: [] }];
	return {
		list,
		inspect: (ref) => findNetwork(list(), ref),
		create: async () => ({ id: "e".repeat(64) }),
		remove: async (ref) => {
			const { name } = findNetwork(list(), ref);
			throw new EngineError("forbidden", `${name} is a pre-defined network and cannot be removed`);
		},
		prune: async (chosen) =>
			list()
				.filter(chosen)
				.slice(1)
				.map(({ name }) => name),
	};
}

export const FAKE_FACTS: SystemFacts = {
	id: "id",
	version: "0.0.1",
	gitCommit: "abc",
	buildTime: "2026-01-01T00:00:00Z",
	hostname: "host",
	kernelVersion: "6.1",
	operatingSystem: "Linux",
	osVersion: "12",
	arch: "amd64",
	machine: "x86_64",
	cpus: 2,
	memory: 1024,
	cgroupVersion: "2",
	networkDrivers: ["bridge", "host", "ipvlan", "macvlan", "null"],
	limits: { oomKillDisable: false, kernelMemory: false, kernelMemoryTcp: false },
	cgroupDriver: "cgroupfs",
	securityOptions: [],
	runtimes: () => ({
		defaultName: "crun",
		program: { name: "crun", version: "1.8.1", commit: "f8a0" },
		all: [{ name: "crun", path: "/usr/bin/crun", args: [] }],
	}),
	dataRoot: "/data",
	insecureRegistries: [],
	storageDriver: "overlay2",
	backingFilesystem: "extfs",
	initBinary: "docker-init",
	openFiles: () => 9,
	ipv4Forwarding: () => true,
};
