import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { BASE, STACK_IMAGES } from "../lab/images/recipes.ts";
import { type Compose, createCompose } from "../lab/lib/compose.ts";
import { createDocker } from "../lab/lib/docker.ts";
import { packageImage } from "../lab/lib/package-image.ts";
import type { Bench } from "./lib/bench.ts";
import type { Engine } from "./lib/engine.ts";

const STACK = join(import.meta.dir, "../lab/scenarios/12-three-tier/stack");
const IMAGES = ["nginx", "python", "mariadb"] as const;

let directory = "";

const dockerOf = ({ socket }: Engine) => createDocker(`unix://${socket}`, join(directory, "docker-config"));

function composeOf(engine: Engine): Compose {
	return createCompose({ docker: dockerOf(engine) }, { stack: STACK, project: "foredeck-bench-three" });
}

export const bench: Bench = {
	title: "docker compose up -d of three services on two networks",
	unit: "ms",
	better: "lower",
	rounds: 7,
	goal: 0.6,
	async open() {
		directory = mkdtempSync(join(tmpdir(), "foredeck-bench-"));
	},
	async prepare(engine) {
		for (const name of IMAGES) {
			const tag = STACK_IMAGES[name].config.tag;
			const present = (await dockerOf(engine).run(["image", "inspect", tag])).code === 0;
			if (!present) await dockerOf(engine)("load", "-qi", await packageImage(STACK_IMAGES[name], BASE));
		}
	},
	async measure(engine) {
		const compose = composeOf(engine);
		try {
			const begin = performance.now();
			await compose("up", "-d");
			return performance.now() - begin;
		} finally {
			await compose("down", "-v", "-t", "0");
		}
	},
	async close() {
		rmSync(directory, { recursive: true });
	},
};
