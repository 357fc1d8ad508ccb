import { posix } from "node:path";
import { EngineError } from "../../shared/errors.ts";
import { parseSignal } from "../../shared/signals.ts";
import type { Build, StageState } from "./build-state.ts";
import { withFiles } from "./copy-step.ts";
import type { BuildFiles } from "./files.ts";
import { quotedHealthcheck, shownHealthcheck } from "./healthcheck.ts";
import type { CommandInstruction, Instruction, Pair, PairsInstruction } from "./instructions.ts";
import { setEnv, wordsOf } from "./run-config.ts";
import { commitStep, configStep, useCache, wordsOfStep } from "./step.ts";

type Expand = (word: string) => string;

/** ENV and LABEL: all values of one instruction see what was before it. */
export function setPairs(build: Build, state: StageState, { do: what, pairs, line }: PairsInstruction, expand: Expand) {
	const values = pairs.map(({ name, value = "" }) => [expand(name), expand(value)] as const);
	for (const [name, value] of values) {
		if (what === "ENV") state.run.Env = setEnv(state.run.Env, name, value);
		else state.run.Labels = { ...state.run.Labels, [name]: value };
	}
	const shown = values.map(([name, value]) => ` ${name}=${value}`).join("");
	// Line 0: a label of the client's, which BuildKit's history does not show.
	return configStep(build, state, wordsOfStep(build, state, `${what}${shown}`, { unrecorded: line === 0 }));
}

export function declareArgs(build: Build, state: StageState, pairs: readonly Pair[], expand: Expand) {
	const values = pairs.map(({ name, value }) => ({
		name: expand(name),
		value: value === undefined ? value : expand(value),
	}));
	for (const { name, value } of values) state.args.declare(name, value);
	const shown = values.map(({ name, value }) => (value === undefined ? ` ${name}` : ` ${name}=${value}`)).join("");
	const known = values.map(({ name }) => {
		const value = state.args.valueOf(name);
		return value === undefined ? ` ${name}` : ` ${name}=${value}`;
	});
	return configStep(build, state, wordsOfStep(build, state, `ARG${shown}`, { buildkit: `ARG${known.join("")}` }));
}

export function expose(build: Build, state: StageState, ports: readonly string[]) {
	const all = [...new Set(ports.flatMap(portsOf))].sort();
	const added = all.map((port) => [port, {}]);
	const buildkit = `EXPOSE [${all.join(" ")}]`;
	state.run.ExposedPorts = { ...state.run.ExposedPorts, ...Object.fromEntries(added) };
	return configStep(build, state, wordsOfStep(build, state, `EXPOSE ${ports.join(" ")}`, { buildkit }));
}

/** `80`, `80/udp`, `8000-8010`; a host's part is dropped. */
function portsOf(spec: string): string[] {
	const [ports = "", protocol = "tcp"] = spec.split("/", 2);
	const [, first = "", last = first] = /^(?:.*:)?(\d{1,5})(?:-(\d{1,5}))?$/.exec(ports) ?? [];
	const [from, to] = [Number(first), Number(last)];
	if (first === "" || to > 65535 || from > to) throw new EngineError("invalid", `Invalid containerPort: ${ports}`);
	if (!["tcp", "udp", "sctp"].includes(protocol.toLowerCase())) {
		throw new EngineError("invalid", `Invalid proto: ${protocol}`);
	}
	return Array.from({ length: to - from + 1 }, (_, i) => `${from + i}/${protocol.toLowerCase()}`);
}

export function declareVolumes(build: Build, state: StageState, paths: readonly string[]) {
	const given = paths.map((path) => path.trim());
	if (given.includes("")) throw new EngineError("invalid", "VOLUME specified can not be an empty string");
	state.run.Volumes = { ...state.run.Volumes, ...Object.fromEntries(given.map((path) => [path, {}])) };
	return configStep(build, state, wordsOfStep(build, state, `VOLUME [${given.join(" ")}]`));
}

/** The directory is made, for root, where there is none. */
export async function setWorkdir(build: Build, state: StageState, path: string) {
	if (path === "") throw new EngineError("invalid", "cannot normalize nothing");
	const workdir = posix.resolve("/", state.run.WorkingDir ?? "/", path);
	state.run.WorkingDir = workdir;
	const command = wordsOfStep(build, state, `WORKDIR ${workdir}`, { makesFiles: true });
	if (await useCache(build, state, command)) return;
	await withFiles(build, state, async (root, snapshotId) => {
		const { files, snapshotter } = build.parts;
		const made = makeWorkdir(files, root, workdir);
		await commitStep(build, state, command, made ? { layer: snapshotter.archiveChanges(snapshotId) } : {});
	});
}

function makeWorkdir(files: BuildFiles, root: string, path: string): boolean {
	try {
		return files.makeDirectory(root, path);
	} catch (cause) {
		if ((cause as { code?: unknown }).code !== "ENOTDIR") throw cause;
		throw new EngineError("invalid", `mkdir ${path}: not a directory`, { cause });
	}
}

export function setUser(build: Build, state: StageState, user: string) {
	state.run.User = user;
	return configStep(build, state, wordsOfStep(build, state, `USER ${user}`));
}

export function setStopSignal(build: Build, state: StageState, signal: string) {
	if (parseSignal(signal) === undefined) throw new EngineError("invalid", `invalid signal: ${signal}`);
	state.run.StopSignal = signal;
	return configStep(build, state, wordsOfStep(build, state, `STOPSIGNAL ${signal}`));
}

export function setShell(build: Build, state: StageState, words: readonly string[]) {
	state.run.Shell = [...words];
	return configStep(build, state, wordsOfStep(build, state, `SHELL [${words.join(" ")}]`));
}

export function setCommand(build: Build, state: StageState, { do: what, command }: CommandInstruction) {
	const words = wordsOf(state.run, command);
	if (what === "CMD") {
		state.run.Cmd = words;
		if (build.request.buildKit) state.run.ArgsEscaped = true;
		state.cmdSet ||= command.words.length > 0;
	} else {
		state.run.Entrypoint = words;
		// The base image's command was meant for the base image's entrypoint.
		if (!state.cmdSet) state.run.Cmd = undefined;
	}
	const shown = words.map((word) => JSON.stringify(word)).join(" ");
	return configStep(build, state, wordsOfStep(build, state, `${what} [${shown}]`));
}

export async function setHealthcheck(
	build: Build,
	state: StageState,
	{ check }: Extract<Instruction, { do: "HEALTHCHECK" }>,
) {
	const old = (state.run.Healthcheck as { Test?: readonly string[] } | undefined)?.Test ?? [];
	if (old.length > 0 && old[0] !== "NONE") {
		await build.output.text(`Note: overriding previous HEALTHCHECK: [${old.join(" ")}]\n`);
	}
	state.run.Healthcheck = check;
	await configStep(
		build,
		state,
		wordsOfStep(build, state, `HEALTHCHECK ${shownHealthcheck(check)}`, {
			buildkit: `HEALTHCHECK ${quotedHealthcheck(check)}`,
		}),
	);
}

export function addTrigger(build: Build, state: StageState, expression: string) {
	state.run.OnBuild = [...(state.run.OnBuild ?? []), expression];
	return configStep(build, state, wordsOfStep(build, state, `ONBUILD ${expression}`, { unrecorded: true }));
}

export function setMaintainer(build: Build, state: StageState, maintainer: string) {
	state.author = maintainer;
	return configStep(build, state, wordsOfStep(build, state, `MAINTAINER ${maintainer}`));
}
