import { existsSync, mkdirSync, rmSync } from "node:fs";
import { EngineError } from "../../../shared/errors.ts";
import { fileIdentity } from "../../../sys/linux/file-identity.ts";
import type { RuntimeCommand } from "../driver.ts";
import type { RuntimePaths } from "../protocol.ts";
import { traitsOf } from "../traits.ts";
import { OciRuntime } from "./oci-runtime.ts";
import type { Reaper } from "./reaper.ts";

interface Opened {
	readonly runtime: OciRuntime;
	/** Of the executable that it was opened from. */
	readonly file: string;
}

/** The runtimes of the containers there are, each opened when it is first needed and again when its executable has been replaced. */
export class OciRuntimes {
	private readonly opened = new Map<string, Opened>();

	constructor(
		private readonly paths: RuntimePaths,
		private readonly reaper: Reaper,
	) {}

	/** Throws EngineError "internal" when the executable is gone and there is no copy of it in memory. */
	open(command: RuntimeCommand): OciRuntime {
		const key = JSON.stringify(command);
		const known = this.opened.get(key);
		const file = fileIdentity(command.path);
		if (known && (file === known.file || file === undefined)) return known.runtime;
		try {
			const state = this.paths.runtimeState(command.family);
			mkdirSync(state, { recursive: true, mode: 0o700 });
			const runtime = new OciRuntime(command, state, this.reaper);
			this.opened.set(key, { runtime, file: file ?? "" });
			known?.runtime.close();
			return runtime;
		} catch (cause) {
			throw new EngineError("internal", `OCI runtime ${command.path} cannot be run`, { cause });
		}
	}

	/** Forgets a container whose processes and cgroup are gone. @param directory of its process */
	async forget(command: RuntimeCommand, id: string, directory: string): Promise<void> {
		const state = `${this.paths.runtimeState(command.family)}/${id}`;
		if (!existsSync(state)) return;
		if (!traitsOf(command.family).keepsDirectoryOnly) await this.open(command).delete(id, directory);
		// all that `crun delete` and `runc delete` would do besides
		rmSync(state, { recursive: true, force: true });
	}
}
