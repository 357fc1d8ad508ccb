import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createTestVolumes } from "../../engine/volumes/testing/fakes.ts";
import { silentLogger } from "../../shared/log.ts";
import { createApi } from "../api.ts";
import type { ApiServices } from "../router.ts";
import { FAKE_FACTS, FakeContainers, fakeEvents, fakeExecs, fakeImages, fakeNetworks } from "./fakes.ts";

/** The whole API over fakes on a socket of its own; `close` removes it. @param parts in place of the fakes */
export async function serveTestApi(parts: Partial<ApiServices> & { containers?: FakeContainers } = {}) {
	const directory = mkdtempSync(join(tmpdir(), `fd-api-${process.pid}-`));
	const path = join(directory, "s.sock");
	const containers = parts.containers ?? new FakeContainers();
	const api = createApi({
		execs: fakeExecs(),
		images: fakeImages(),
		networks: fakeNetworks(),
		volumes: createTestVolumes().volumes,
		events: fakeEvents([]),
		facts: FAKE_FACTS,
		log: silentLogger,
		extra: [],
		...parts,
		containers,
	});
	await api.listen([`unix://${path}`]);
	return {
		directory,
		path,
		listener: api,
		containers,
		async close() {
			await api.close();
			rmSync(directory, { recursive: true });
		},
	};
}

export type TestApi = Awaited<ReturnType<typeof serveTestApi>>;
