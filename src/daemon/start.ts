import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { createApi } from "../api/api.ts";
import { insightRoutes } from "../api/foredeck/insight.ts";
import { policyRoutes } from "../api/foredeck/policies/routes.ts";
import { imageRoutes } from "../api/images/routes.ts";
import { hostDnsOptions } from "../cli/dns.ts";
import { createBlobStore } from "../drivers/content/blob-store.ts";
import { download } from "../drivers/content/download.ts";
import { cloneGit } from "../drivers/content/git-clone.ts";
import { openUrl } from "../drivers/content/open-url.ts";
import { createContent } from "../drivers/content/spool.ts";
import { createLogReader } from "../drivers/log/files/reader.ts";
import { keepLoopbackDirect } from "../drivers/registry/proxy-settings.ts";
import { createRegistry } from "../drivers/registry/registry.ts";
import { createRuntimeDriver, enterEngineMountNamespace, stopSupervisor } from "../drivers/runtime/create.ts";
import { buildFiles } from "../drivers/snapshotter/build/build-files.ts";
import { BuildMounts } from "../drivers/snapshotter/build/build-mounts.ts";
import { OverlaySnapshotter } from "../drivers/snapshotter/overlay/overlay.ts";
import { viewOfMounts, viewOfProcess } from "../drivers/snapshotter/views/view.ts";
import { LocalVolumes } from "../drivers/volume/local/local.ts";
import { LocalStage } from "../drivers/volume/local/stage.ts";
import { CacheMounts } from "../engine/build/cache-mounts.ts";
import { type BuildsEngine, createBuilds } from "../engine/build/service.ts";
import type { ContainerRecord } from "../engine/containers/record.ts";
import { createContainers } from "../engine/containers/service.ts";
import { createEventBus } from "../engine/event-bus.ts";
import { createImages } from "../engine/images/service.ts";
import { VolumeService } from "../engine/volumes/service.ts";
import { createLogger, type Logger } from "../shared/log.ts";
import { BUILD_TIME, COMMIT, VERSION } from "../shared/version.ts";
import { BuildStore, buildSchema } from "../store/build.ts";
import { type ContainerStore, createContainerStore } from "../store/containers.ts";
import { openDatabase } from "../store/database.ts";
import { DistributionStore, distributionSchema } from "../store/distribution.ts";
import { openEventJournal } from "../store/events.ts";
import { ImageStore, imagesSchema } from "../store/images.ts";
import { KeptIndexStore, keptIndexesSchema } from "../store/kept-indexes.ts";
import { migrations } from "../store/migrations.ts";
import { familiesSchema, NetworkStore, networksSchema, userNetworksSchema } from "../store/networks.ts";
import { PolicyStore, policiesSchema, unsettledSchema } from "../store/policies.ts";
import { closeDatabase } from "../store/reserve.ts";
import { VolumeStore, volumesSchema } from "../store/volumes.ts";
import { availableCapabilities } from "../sys/linux/capability-set.ts";
import { cgroupFeatures } from "../sys/linux/cgroup-features.ts";
import { removeEmptyCgroup } from "../sys/linux/cgroup-parent.ts";
import { isDirectoryInRoot, makeDirectoryInRoot } from "../sys/linux/directory-in-root.ts";
import { runPs } from "../sys/linux/ps.ts";
import { readInRoot } from "../sys/linux/read-in-root.ts";
import { trimWhenQuiet } from "../sys/linux/resident.ts";
import { raiseThreadPriority } from "../sys/linux/thread-priority.ts";
import { closeAppArmor, openAppArmor } from "./apparmor.ts";
import { keepHostDns } from "./host-dns-keeper.ts";
import { machineGoesDown } from "./machine-state.ts";
import { buildNetwork } from "./network.ts";
import type { DaemonOptions } from "./options.ts";
import { lockInstance, lockRoot } from "./pidlock.ts";
import { announceReady, announceStopping } from "./ready.ts";
import { MachineRuntimes } from "./runtimes.ts";
import { selfCommand } from "./self-command.ts";
import { gatherSystemFacts } from "./system-facts.ts";
import { readTlsFiles } from "./tls-files.ts";

/** Of the thread that answers clients. */
const API_NICE = -5;

/**
 * Builds the engine, takes over what an earlier daemon left running, and serves until SIGTERM or SIGINT; containers run on after it.
 * Throws EngineError when another daemon holds the data root, a listener's address is taken, or the state cannot be read.
 */
export async function runDaemon(options: DaemonOptions): Promise<void> {
	const log = createLogger(options.logLevel, { instance: options.instance });
	guardProcess(log);
	makeDirectories(options);
	// First of all: it may execute the process again, and a lock taken before would be lost.
	enterEngineMountNamespace(options.runRoot);
	// It answers clients and leaves work to others: none of them should wait for an image that comes in. Not inherited by what it starts.
	raiseThreadPriority(API_NICE);
	const locks = [lockRoot(options.dataRoot), lockRoot(options.runRoot), lockInstance(options.instance)];
	keepLoopbackDirect(process.env);
	const engine = await buildEngine(options, log);
	await engine.open().catch(async (error: unknown) => {
		// What this start made is not left behind, and what ran before runs on.
		await engine.close().catch((cause: unknown) => log.warn("cannot close", { error: cause }));
		throw error;
	});
	announceReady(log, options);
	const names = keepHostDns(hostDnsOptions(options), log);
	const trimming = trimWhenQuiet(log);
	await stopRequested();
	trimming[Symbol.dispose]();
	names[Symbol.dispose]();
	announceStopping(log);
	if (machineGoesDown()) await engine.endContainers();
	await engine.close();
	for (const lock of locks) lock.release();
	log.info("stopped");
	process.exit(0);
}

async function buildEngine(options: DaemonOptions, log: Logger) {
	const { dataRoot, runRoot, instance } = options;
	const database = openDatabase(
		join(dataRoot, "state.db"),
		...migrations,
		networksSchema,
		imagesSchema,
		distributionSchema,
		volumesSchema,
		userNetworksSchema,
		buildSchema,
		familiesSchema,
		policiesSchema,
		keptIndexesSchema,
		unsettledSchema,
	);
	const store = createContainerStore<ContainerRecord>(database);
	const { runtimes: configured, defaultRuntime } = options;
	const runtimes = new MachineRuntimes({ runtimes: configured, defaultRuntime, searchPath: process.env.PATH ?? "" });
	const probed = runtimes.open(log);
	const journal = openEventJournal(dataRoot);
	const events = createEventBus({ journal, log });
	const snapshotter = new OverlaySnapshotter(join(dataRoot, "overlay"), { maxLayerBytes: options.maxLayerBytes });
	let builds: BuildsEngine | undefined;
	const images = createImages({
		store: new ImageStore(database),
		distribution: new DistributionStore(database),
		registry: createRegistry({
			insecure: options.insecureRegistries,
			mirrors: options.registryMirrors,
			certificates: options.registryCertificates,
			userAgent: `foredeck/${VERSION}`,
		}),
		download,
		snapshotter,
		content: createContent(join(dataRoot, "spool")),
		blobs: createBlobStore(join(dataRoot, "blobs"), (path) => snapshotter.measure({ path })),
		kept: new KeptIndexStore(database),
		events,
		builds: new BuildStore(database),
		// What a build under way stands on is used as by a running container.
		users: (imageId) => [
			...usersOf(store, imageId),
			...(builds?.inUse(imageId) ? [{ id: "a build", running: true }] : []),
		],
		chainsInUse: () =>
			store
				.list()
				.flatMap(({ imageChain, mounts = [] }) => [
					...imageChain,
					...mounts.flatMap(({ image }) => image?.chain ?? []),
				]),
	});
	const volumes = new VolumeService({
		store: new VolumeStore(database),
		driver: new LocalVolumes(join(dataRoot, "volumes")),
		events,
		log,
	});
	const network = buildNetwork(options, new NetworkStore(database), new PolicyStore(database), store, events, log);
	const runtime = createRuntimeDriver({
		runRoot,
		instance,
		selfExe: [...selfCommand(), "supervisor"],
		log,
	});
	const facts = gatherSystemFacts({
		version: VERSION,
		gitCommit: COMMIT,
		buildTime: BUILD_TIME,
		dataRoot,
		instance,
		insecureRegistries: options.insecureRegistries,
		runtimes: () => runtimes.facts(),
	});
	const engine = createContainers({
		store,
		runtime,
		snapshotter,
		logs: createLogReader(),
		images,
		sandboxes: network.sandboxes,
		volumes,
		stage: new LocalStage(join(runRoot, "mounts")),
		events,
		log,
		dataRoot,
		runRoot,
		instance,
		hostGateways: options.hostGateways,
		cgroupVersion: facts.cgroupVersion === "2" ? 2 : 1,
		kernel: cgroupFeatures(),
		apparmor: await openAppArmor(facts.apparmorProfile, log),
		capabilities: availableCapabilities(),
		runtimes,
		readInRoot,
		makeDirectoryInRoot,
		isDirectoryInRoot,
		files: { ofProcess: viewOfProcess, ofMounts: viewOfMounts },
		runPs,
	});
	const builder = createBuilds({
		images,
		containers: engine.containers,
		snapshotter,
		files: buildFiles,
		openUrl,
		cloneGit,
		mounts: new BuildMounts(join(runRoot, "builds")),
		caches: new CacheMounts(join(dataRoot, "build-cache"), buildFiles.discard),
		directory: join(dataRoot, "builds"),
		log,
	});
	builds = builder;
	const api = createApi(
		{
			containers: engine.containers,
			execs: engine.execs,
			images,
			networks: network.networks,
			volumes,
			events,
			facts,
			log,
			builds: builder,
			extra: [imageRoutes(images) as never, ...insightRoutes(network.insight), policyRoutes(network.policies) as never],
		},
		readTlsFiles(options.tls),
	);
	return {
		async open() {
			await engine.open();
			await builder.open();
			await images.sweep();
			await probed;
			network.serveHost();
			await api.listen(options.hosts);
		},
		/** Until the last has ended the API is served. */
		endContainers: () => engine.endForShutdown(),
		async close() {
			await api.close();
			network.stopServing();
			await engine.close();
			await network.sandboxes.close();
			await runtime.close();
			// With nothing left to own it would end by itself a little later; refused while a process runs.
			const idle = await stopSupervisor(runRoot).then(
				() => true,
				() => false,
			);
			if (idle) closeAppArmor(facts.apparmorProfile, log);
			await volumes.close();
			await snapshotter[Symbol.asyncDispose]();
			closeDatabase(database);
			journal.close();
			removeEmptyCgroup(`foredeck-${instance}`);
		},
	};
}

function usersOf(store: ContainerStore<ContainerRecord>, imageId: string): { id: string; running: boolean }[] {
	return store
		.list()
		.filter(({ imageId: own, mounts = [] }) => own === imageId || mounts.some(({ image }) => image?.id === imageId))
		.map(({ id, state }) => ({ id, running: state.status === "running" || state.status === "paused" }));
}

/** The data root holds images' and containers' files: nobody but root looks in. */
function makeDirectories({ dataRoot, runRoot }: DaemonOptions): void {
	mkdirSync(dataRoot, { recursive: true, mode: 0o700 });
	mkdirSync(runRoot, { recursive: true, mode: 0o700 });
}

function stopRequested(): Promise<void> {
	return new Promise((resolve) => {
		for (const signal of ["SIGTERM", "SIGINT"] as const) process.once(signal, () => resolve());
	});
}

/** One faulty request must not end the engine: what nobody caught is logged, and containers run on. */
function guardProcess(log: Logger): void {
	process.on("uncaughtException", (error) => log.error("uncaught exception", { error, stack: error.stack }));
	process.on("unhandledRejection", (reason) =>
		log.error("unhandled rejection", {
			error: reason,
			stack: reason instanceof Error ? reason.stack : undefined,
		}),
	);
}
