import { digestOf } from "../../oci/digest.ts";
import type { ImageRunConfig } from "../../oci/image.ts";
import type { CommandLine } from "./instructions.ts";

/** An image's run configuration while a build changes it. */
export interface RunConfig {
	User?: string;
	ExposedPorts?: Record<string, object>;
	Env: string[];
	Entrypoint?: string[];
	Cmd?: string[];
	Volumes?: Record<string, object>;
	WorkingDir?: string;
	Labels?: Record<string, string>;
	StopSignal?: string;
	Shell?: string[];
	Healthcheck?: unknown;
	OnBuild?: string[];
	/** Means nothing on Linux; BuildKit sets it with CMD. */
	ArgsEscaped?: boolean;
}

const DEFAULT_SHELL = ["/bin/sh", "-c"];
export const DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/** A copy to change. Without a PATH it gets docker's. */
export function startConfig(image: ImageRunConfig | undefined): RunConfig {
	const run = structuredClone(image ?? {}) as Partial<RunConfig>;
	const Env = run.Env ?? [];
	const hasPath = Env.some((one) => one.startsWith("PATH="));
	return { ...run, Env: hasPath ? Env : [...Env, `PATH=${DEFAULT_PATH}`] };
}

/** The words that are run: shell form is given to the shell. */
export function wordsOf(run: RunConfig, command: CommandLine): string[] {
	return command.shell ? [...(run.Shell ?? DEFAULT_SHELL), ...command.words] : [...command.words];
}

/** What stands in the history for an instruction that runs nothing. Two blanks, as docker has it, but for those that make files. */
export function commentOf(run: RunConfig, comment: string, makesFiles = false): string[] {
	const shell = run.Shell ?? DEFAULT_SHELL;
	return makesFiles ? [...shell, `#(nop) ${comment}`] : [...shell, "#(nop) ", comment];
}

/** What says that two steps over the same parent are the same: all of the configuration, and the command. */
export function cacheKeyOf(run: RunConfig, command: readonly string[], platform: string): string {
	const sorted = (map: object | undefined) => Object.entries(map ?? {}).sort(([a], [b]) => (a < b ? -1 : 1));
	const { Env, Entrypoint, User, WorkingDir, StopSignal, Shell, Healthcheck, OnBuild, Cmd } = run;
	const lists = [command, Cmd, Env, Entrypoint, Shell, OnBuild].map((list) => list ?? null);
	const maps = [run.ExposedPorts, run.Volumes, run.Labels].map(sorted);
	const words = [User ?? "", WorkingDir ?? "", StopSignal ?? "", platform];
	return digestOf(JSON.stringify([lists, maps, words, Healthcheck ?? null]));
}

/** Sets a variable in its place, or adds it. */
export function setEnv(env: readonly string[], name: string, value: string): string[] {
	const at = env.findIndex((one) => one.split("=", 1)[0] === name);
	return at < 0 ? [...env, `${name}=${value}`] : env.with(at, `${name}=${value}`);
}
