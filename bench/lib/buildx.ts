import { randomFillSync } from "node:crypto";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createDocker } from "../../lab/lib/docker.ts";
import { linkPlugin } from "../../lab/lib/plugins.ts";
import type { Bench } from "./bench.ts";
import type { Engine } from "./engine.ts";
import { removeImage } from "./images.ts";

const DOCKERFILE = `FROM busybox
WORKDIR /app
COPY . .
RUN ls | wc -l > /count
CMD ["cat", "/count"]
`;
const NAME = "bench-buildx";
const FILES = 150;
const FILE_BYTES = 1_000_000;

/** `docker build` by the CLI with buildx, of a context of 150 MB; `change` writes one of its files anew before each build. */
export function buildxBench(title: string, rounds: number, { change }: { readonly change: boolean }): Bench {
	let directory = "";
	const write = (i: number) =>
		writeFileSync(join(directory, "context", `f${i}`), randomFillSync(Buffer.alloc(FILE_BYTES)));
	const run = async ({ socket }: Engine) => {
		const docker = createDocker(`unix://${socket}`, join(directory, "docker-config"));
		const begin = performance.now();
		const { code, stderr } = await docker.run(["build", "-q", "-t", NAME, join(directory, "context")], {
			timeoutMs: 120_000,
		});
		const milliseconds = performance.now() - begin;
		if (code !== 0) throw new Error(`docker build: ${stderr}`);
		return milliseconds;
	};
	return {
		title,
		unit: "ms",
		better: "lower",
		rounds,
		goal: 1,
		async open() {
			directory = mkdtempSync(join(tmpdir(), "foredeck-bench-"));
			linkPlugin(join(directory, "docker-config"), "buildx");
			mkdirSync(join(directory, "context"));
			writeFileSync(join(directory, "context/Dockerfile"), DOCKERFILE);
			for (let i = 0; i < FILES; i++) write(i);
		},
		prepare: async (engine) => void (await run(engine)),
		async measure(engine) {
			if (change) write(7);
			return await run(engine);
		},
		cleanup: (engine) => removeImage(engine, NAME),
		async close() {
			rmSync(directory, { recursive: true });
		},
	};
}
