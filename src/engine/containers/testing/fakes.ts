import type { Database } from "bun:sqlite";
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { SnapshotPaths, Snapshotter } from "../../../drivers/snapshotter/driver.ts";
import type { ImageRunConfig } from "../../../oci/image.ts";
import { EngineError } from "../../../shared/errors.ts";
import { silentLogger } from "../../../shared/log.ts";
import { type ContainerStore, containersSchema, createContainerStore } from "../../../store/containers.ts";
import { openDatabase } from "../../../store/database.ts";
import { VolumeStore, volumesSchema } from "../../../store/volumes.ts";
import { createEventBus } from "../../event-bus.ts";
import type { EngineEvent, Events } from "../../events.ts";
import type { ImageRecord, Images } from "../../images/contract.ts";
import type { JoinRequest, NetworkRecord, Sandboxes } from "../../sandboxes/contract.ts";
import { VolumeService } from "../../volumes/service.ts";
import { FakeStage, FakeVolumeDriver } from "../../volumes/testing/fakes.ts";
import { type ContainerConfig, type HostConfig, PLAIN_HOST } from "../config.ts";
import type { ExecConfig } from "../contract.ts";
import type { ContainerRecord, NetworkSettings } from "../record.ts";
import type { Runtimes } from "../runtimes.ts";
import { createContainers } from "../service.ts";
import { FakeRuntime } from "./fake-runtime.ts";

export function containerConfig(patch: Partial<ContainerConfig> = {}): ContainerConfig {
	return {
		Hostname: "",
		Domainname: "",
		User: "",
		AttachStdin: false,
		AttachStdout: true,
		AttachStderr: true,
		Tty: false,
		OpenStdin: false,
		StdinOnce: false,
		Env: [],
		Cmd: ["run"],
		Image: "app:1",
		Volumes: null,
		WorkingDir: "",
		Entrypoint: null,
		Labels: {},
		...patch,
	};
}

export function hostConfig(patch: Partial<HostConfig> = {}): HostConfig {
	return {
		...PLAIN_HOST,
		LogConfig: { Type: "json-file", Config: {} },
		NetworkMode: "bridge",
		PortBindings: {},
		...patch,
	};
}

export function containerRecord(patch: Partial<ContainerRecord> = {}): ContainerRecord {
	return {
		id: "c".repeat(64),
		name: "web",
		created: "2026-01-01T00:00:00Z",
		imageId: "sha256:1",
		imageChain: ["sha256:base"],
		path: "run",
		args: [],
		config: containerConfig({ Hostname: "host1" }),
		hostConfig: hostConfig(),
		state: { status: "created" },
		restartCount: 0,
		stoppedByUser: false,
		execIds: [],
		...patch,
	};
}

export function execConfig(patch: Partial<ExecConfig> = {}): ExecConfig {
	return {
		AttachStdin: false,
		AttachStdout: true,
		AttachStderr: true,
		Tty: false,
		Cmd: ["ls"],
		Env: [],
		User: "",
		WorkingDir: "",
		Privileged: false,
		DetachKeys: "",
		...patch,
	};
}

async function* emptyTar(): AsyncIterable<Uint8Array> {
	yield new Uint8Array(1024);
}

/** Snapshots as directories' names alone. */
export class FakeSnapshotter implements Snapshotter {
	readonly prepared = new Set<string>();
	readonly mounted = new Set<string>();
	failure: unknown;

	constructor(private readonly root: string) {}

	has = () => true;
	extract = async () => ({ size: 0 });
	ingest = async () => ({ chainId: "sha256:layer", diffId: "sha256:layer", size: 0 });
	stage = async () => ({
		diffId: "sha256:layer",
		adopt: async () => {},
		[Symbol.asyncDispose]: async () => {},
	});
	find = () => undefined;
	measure = async () => ({ digest: "sha256:layer", size: 1024 });
	assemble = () => ({ body: emptyTar(), summary: async () => ({ digest: "sha256:layer", size: 1024 }) });
	tarSize = () => 1024;
	verify = async () => {};
	changes = async () => [];
	archiveChanges = () => emptyTar();
	archiveRoot = () => emptyTar();
	archiveCopy = () => emptyTar();
	layerPath = (chainId: string) => `${this.root}/layers/${chainId}`;
	size = () => 100;
	removeLayer = async () => {};
	layers = () => [];
	rootOf = (id: string) => `${this.root}/${id}`;
	usage = async () => 7;
	active = () => [...this.prepared];

	async prepare(id: string): Promise<void> {
		if (this.failure !== undefined) throw this.failure;
		this.prepared.add(id);
	}

	mount(id: string): string {
		if (!this.prepared.has(id)) throw new EngineError("internal", `no snapshot ${id}`);
		this.mounted.add(id);
		return this.rootOf(id);
	}

	unmount(id: string): void {
		this.mounted.delete(id);
	}

	describe(id: string): SnapshotPaths {
		return {
			LowerDir: "/lower",
			UpperDir: `${this.root}/${id}-upper`,
			WorkDir: `${this.root}/${id}-work`,
			MergedDir: this.rootOf(id),
		};
	}

	async remove(id: string): Promise<void> {
		this.unmount(id);
		this.prepared.delete(id);
	}
}

export class FakeSandboxes implements Sandboxes {
	readonly joined = new Map<string, JoinRequest>();
	kept: readonly { containerId: string; settings: NetworkSettings }[] = [];
	failure: unknown;

	async open(keep: readonly { containerId: string; settings: NetworkSettings }[]): Promise<void> {
		this.kept = keep;
	}

	checkShared(): void {}

	members() {
		return [];
	}

	async join(request: JoinRequest): Promise<NetworkSettings> {
		if (this.failure !== undefined) throw this.failure;
		this.joined.set(request.containerId, request);
		return {
			sandboxId: "sandbox",
			sandboxPath: request.mode === "host" ? undefined : "/run/netns/sandbox",
			endpoints: [
				{ networkName: "bridge", networkId: "n", endpointId: "e", ipAddress: "10.0.0.2", gateway: "10.0.0.1" },
			],
			ports: [],
		};
	}

	async leave(containerId: string): Promise<void> {
		this.joined.delete(containerId);
	}

	networks: () => NetworkRecord[] = () => [];
	driverOf = (networkId: string) => this.networks().find(({ id }) => id === networkId)?.driver;
	networksChanged = () => {};
	owned = () => ({ namespaces: [], links: [] });
	networksOf = () => [];
	attach = async (): Promise<NetworkSettings> => ({ sandboxId: "sandbox", endpoints: [], ports: [] });
	detach = async (): Promise<NetworkSettings | undefined> => undefined;
	close = async () => {};
}

/** Events, and all that were published so far. */
function recordingEvents(): { bus: Events; seen: { action: string; attributes: Record<string, string> }[] } {
	const seen: { action: string; attributes: Record<string, string> }[] = [];
	const bus = createEventBus();
	return {
		bus: {
			subscribe: bus.subscribe,
			publish: (type: EngineEvent["Type"], action, id, attributes) => {
				seen.push({ action, attributes });
				bus.publish(type, action, id, attributes);
			},
		},
		seen,
	};
}

/** What a second engine takes over from the first, as a new daemon would. */
interface Kept {
	readonly directory: string;
	readonly database: Database;
	readonly runtime: FakeRuntime;
	readonly snapshotter: FakeSnapshotter;
	readonly volumeDriver?: FakeVolumeDriver;
}

export type TestEngine = ReturnType<typeof createTestEngine>;

/** A service over fakes, with its files in a temporary directory; `image` is what containers inherit. Dispose it. */
export function createTestEngine(options: { image?: ImageRunConfig; keep?: Kept; runtimes?: Runtimes } = {}) {
	const directory = options.keep?.directory ?? mkdtempSync(join(tmpdir(), "foredeck-containers-"));
	const database = options.keep?.database ?? openDatabase(":memory:", containersSchema, volumesSchema);
	const store: ContainerStore<ContainerRecord> = createContainerStore(database);
	const runtime = options.keep?.runtime ?? new FakeRuntime();
	const snapshotter = options.keep?.snapshotter ?? new FakeSnapshotter(directory);
	const sandboxes = new FakeSandboxes();
	const volumeDriver = options.keep?.volumeDriver ?? new FakeVolumeDriver();
	const stage = new FakeStage();
	const { bus, seen } = recordingEvents();
	const volumes = new VolumeService({
		store: new VolumeStore(database),
		driver: volumeDriver,
		events: bus,
		log: silentLogger,
	});
	const image: ImageRecord = {
		id: "sha256:1",
		configJson: "{}",
		config: { architecture: "amd64", os: "linux", config: options.image, rootfs: { type: "layers", diff_ids: [] } },
		chain: ["sha256:base"],
		tags: ["app:1"],
		digests: [],
		size: 1,
		created: "",
	};
	const images = { resolve: () => image } as unknown as Images;
	mkdirSync(`${directory}/run`, { recursive: true });
	const engine = createContainers({
		store,
		runtime,
		snapshotter,
		images,
		sandboxes,
		volumes,
		stage,
		events: bus,
		log: silentLogger,
		logs: {
			async *read(_path, { ended }) {
				yield Buffer.from("logged");
				await ended;
			},
			remove: async () => {},
		},
		dataRoot: directory,
		runRoot: `${directory}/run`,
		instance: "test",
		cgroupVersion: 1,
		runtimes: options.runtimes ?? {
			defaultName: "crun",
			has: (name) => name === "crun",
			find: async () => ({ path: "/usr/bin/crun", args: [], family: "crun" as const }),
		},
		makeDirectoryInRoot: () => {},
		isDirectoryInRoot: (_root, path) => path.endsWith("/directory"),
		readInRoot: (_root, path) =>
			path === "/etc/passwd" ? "root:x:0:0::/root:/bin/sh\nweb:x:7:8::/web:/bin/sh\n" : undefined,
		runPs: async () => ({ exitCode: 0, stdout: "UID PID CMD\nroot 100 run it\nroot 1 init\n", stderr: "" }),
		files: {
			ofProcess: () => {
				throw new Error("no files");
			},
			ofMounts: () => {
				throw new Error("no files");
			},
		},
		initPath: () => undefined,
	});
	return {
		...engine,
		store,
		runtime,
		snapshotter,
		sandboxes,
		volumes,
		volumeDriver,
		stage,
		directory,
		database,
		seen,
		actions: () => seen.map(({ action }) => action),
		async [Symbol.asyncDispose]() {
			await engine.close();
			rmSync(directory, { recursive: true, force: true });
		},
	};
}
