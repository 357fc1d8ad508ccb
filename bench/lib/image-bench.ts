import type { Bench } from "./bench.ts";
import { archiveOf, type BenchImage } from "./image-content.ts";
import { load, pull, push, removeImage, save } from "./images.ts";
import { type BenchRegistry, startRegistry } from "./registry.ts";

export interface ImageBenchSettings {
	readonly title: string;
	/** Short and unlike other benches': names the repository. */
	readonly name: string;
	readonly goal: number;
	make(): Promise<BenchImage>;
}

/** Seconds, against the better of the others. */
function frameOf({ title, goal }: ImageBenchSettings) {
	return { title, goal, unit: "s", better: "lower", against: "best", rounds: 5 } as const;
}

/** Pulling an image that the engine does not have, from a registry on loopback. */
export function pullBench(settings: ImageBenchSettings): Bench {
	const { name, make } = settings;
	let registry: BenchRegistry | undefined;
	const reference = () => `${registry?.host}/bench/${name}`;
	return {
		...frameOf(settings),
		async open(engines) {
			registry = await startRegistry(engines);
			await registry.upload(await make(), `bench/${name}`);
		},
		prepare: (engine) => removeImage(engine, reference()),
		async measure(engine) {
			const seconds = (await pull(engine, reference())) / 1000;
			await removeImage(engine, reference());
			return seconds;
		},
		close: async () => await registry?.[Symbol.asyncDispose](),
	};
}

/** Pushing an image of which the registry has nothing. */
export function pushBench(settings: ImageBenchSettings): Bench {
	const { name, make } = settings;
	let registry: BenchRegistry | undefined;
	let archive: Buffer | undefined;
	const reference = () => `${registry?.host}/bench/${name}`;
	return {
		...frameOf(settings),
		async open(engines) {
			registry = await startRegistry(engines);
			archive = await archiveOf(await make(), `${reference()}:latest`);
		},
		prepare: async (engine) => void (await load(engine, archive ?? Buffer.alloc(0))),
		async measure(engine) {
			registry?.empty();
			return (await push(engine, reference())) / 1000;
		},
		cleanup: (engine) => removeImage(engine, reference()),
		close: async () => await registry?.[Symbol.asyncDispose](),
	};
}

/** Loading an image that the engine does not have. */
export function loadBench(settings: ImageBenchSettings): Bench {
	const { name, make } = settings;
	const tag = `bench-${name}:latest`;
	let archive: Buffer | undefined;
	return {
		...frameOf(settings),
		async open() {
			archive = await archiveOf(await make(), tag);
		},
		prepare: (engine) => removeImage(engine, tag),
		async measure(engine) {
			const seconds = (await load(engine, archive ?? Buffer.alloc(0))) / 1000;
			await removeImage(engine, tag);
			return seconds;
		},
		close: async () => {
			archive = undefined;
		},
	};
}

/** Saving an image, read to the end. */
export function saveBench(settings: ImageBenchSettings): Bench {
	const { name, make } = settings;
	const tag = `bench-${name}:latest`;
	let archive: Buffer | undefined;
	return {
		...frameOf(settings),
		async open() {
			archive = await archiveOf(await make(), tag);
		},
		prepare: async (engine) => void (await load(engine, archive ?? Buffer.alloc(0))),
		measure: async (engine) => (await save(engine, tag)) / 1000,
		cleanup: (engine) => removeImage(engine, tag),
	};
}
