import { accessSync, constants, statSync } from "node:fs";
import type { RuntimeCommand } from "../drivers/runtime/driver.ts";
import { familyOf } from "../drivers/runtime/traits.ts";
import type { Runtimes } from "../engine/containers/runtimes.ts";
import type { RuntimeFacts } from "../engine/system.ts";
import { EngineError } from "../shared/errors.ts";
import type { Logger } from "../shared/log.ts";
import { UsageError } from "../shared/usage-error.ts";
import { fileIdentity } from "../sys/linux/file-identity.ts";
import { outputOf } from "../sys/linux/host-probe.ts";
import type { ConfiguredRuntime } from "./options.ts";

/** Found by themselves where they are installed; the first of them is the default. */
const KNOWN = ["crun", "runc"];
/** docker's other name of runc, which clients send: the shim that runs it there. */
const SHIM = "io.containerd.runc.v2";
const PLACES = ["/usr/bin", "/usr/local/bin", "/usr/sbin", "/usr/local/sbin", "/bin", "/sbin"];

/** What a runtime says of itself. */
interface Probe {
	readonly file: string;
	readonly path: string;
	readonly command: RuntimeCommand;
	/** `crun version 1.8.1`: name and version; "" when it says nothing. */
	readonly name: string;
	readonly version: string;
	readonly commit: string;
	/** JSON of `features`, which newer ones have. */
	readonly features?: string;
}

export interface RuntimeSettings {
	readonly runtimes: readonly ConfiguredRuntime[];
	/** undefined: crun where it is installed, else runc */
	readonly defaultRuntime?: string;
	/** PATH */
	readonly searchPath: string;
}

/** The OCI runtimes of this machine: crun and runc where they are installed, and those of the settings, which may take these names too. */
export class MachineRuntimes implements Runtimes {
	readonly defaultName: string;
	private readonly known = new Map<string, ConfiguredRuntime>();
	private readonly probes = new Map<string, Probe>();

	/** Throws UsageError when the default is none of them, EngineError "unavailable" when there is none at all. */
	constructor(private readonly settings: RuntimeSettings) {
		const installed = KNOWN.flatMap((name) => {
			const path = this.locate(name);
			return path === undefined ? [] : [{ name, path, args: [] }];
		});
		for (const runtime of [...installed, ...settings.runtimes]) this.known.set(runtime.name, runtime);
		const runc = this.known.get("runc");
		if (runc) this.known.set(SHIM, { ...runc, name: SHIM });
		this.defaultName = this.chooseDefault(settings.defaultRuntime);
	}

	/** Asks each what it is. One that is not there is a warning: containers that name it cannot start until it is. */
	async open(log: Logger): Promise<void> {
		const ask = async (name: string, path: string) => {
			try {
				await this.find(name);
			} catch {
				log.warn("OCI runtime not there: containers of it cannot start", { name, path });
			}
		};
		await Promise.all([...this.known].map(([name, { path }]) => ask(name, path)));
	}

	has(name: string): boolean {
		return this.known.has(name);
	}

	async find(name: string): Promise<RuntimeCommand> {
		const runtime = this.known.get(name);
		if (!runtime) throw new EngineError("invalid", `unknown or invalid runtime name: ${name}`);
		const path = this.locate(runtime.path);
		const file = path && fileIdentity(path);
		if (!path || !file) {
			this.probes.delete(name);
			throw new EngineError(
				"internal",
				`OCI runtime "${name}" is not installed: ${runtime.path} is no executable file`,
			);
		}
		const known = this.probes.get(name);
		if (known?.path === path && known.file === file) return known.command;
		const probe = await ask(path, file, runtime.args);
		this.probes.set(name, probe);
		return probe.command;
	}

	/** For `docker info` and `docker version`. */
	facts(): RuntimeFacts {
		const { name, version, commit } = this.probes.get(this.defaultName) ?? {
			name: this.defaultName,
			version: "",
			commit: "",
		};
		return {
			defaultName: this.defaultName,
			program: { name: name || this.defaultName, version: version || "N/A", commit: commit || "N/A" },
			all: [...this.known.values()].map(({ name: own, path, args }) => {
				const probe = this.probes.get(own);
				return { name: own, path: probe?.path ?? path, args, ...(probe?.features && { features: probe.features }) };
			}),
		};
	}

	private chooseDefault(asked: string | undefined): string {
		if (asked !== undefined && this.known.has(asked)) return asked;
		if (asked !== undefined)
			throw new UsageError(
				`specified default runtime '${asked}' does not exist: known are ${[...this.known.keys()].join(", ") || "none"}`,
			);
		const found = KNOWN.find((name) => this.known.has(name));
		if (found) return found;
		throw new EngineError("unavailable", "no OCI runtime found: install crun (Debian package crun) or runc");
	}

	/** Absolute path of an executable; a bare name is looked for. */
	private locate(program: string): string | undefined {
		if (program.startsWith("/")) return isExecutable(program) ? program : undefined;
		const places = [...this.settings.searchPath.split(":").filter((place) => place.startsWith("/")), ...PLACES];
		return places.map((place) => `${place}/${program}`).find(isExecutable);
	}
}

async function ask(path: string, file: string, args: readonly string[]): Promise<Probe> {
	const [said = "", features] = await Promise.all([outputOf(path, ["--version"]), outputOf(path, ["features"])]);
	const [, name = "", version = ""] = /^(\S+) version (\S+)/.exec(said) ?? [];
	return {
		file,
		path,
		command: { path, args, family: familyOf(said) },
		name,
		version,
		commit: /^commit: (\S+)/m.exec(said)?.[1] ?? "",
		...(features !== undefined && compact(features)),
	};
}

/** Without white space; nothing when it is no JSON. */
function compact(features: string): { features?: string } {
	try {
		return { features: JSON.stringify(JSON.parse(features)) };
	} catch {
		return {};
	}
}

function isExecutable(path: string): boolean {
	try {
		accessSync(path, constants.X_OK);
		return statSync(path).isFile();
	} catch {
		return false;
	}
}
