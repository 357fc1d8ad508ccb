import { posix } from "node:path";
import type { Duplex } from "node:stream";
import { EngineError, messageOf } from "../../shared/errors.ts";
import { shortId } from "../../shared/id.ts";
import { FRAME_HEADER_BYTES, STDERR, STDOUT } from "../../shared/stdcopy.ts";
import { type MountRequest, PLAIN_HOST } from "../containers/config.ts";
import type { Build, BuildParts, StageState } from "./build-state.ts";
import { CommandFailed } from "./command-failed.ts";
import { contentOf, type Heredoc, openingOf } from "./heredocs.ts";
import type { RunInstruction } from "./instructions.ts";
import { wordsOf } from "./run-config.ts";
import { parseRunMount, type RunMount } from "./run-mount.ts";
import { keyOfMounts, prepareMounts, scriptMount } from "./run-mounts.ts";
import { commitStep, type StepWords, useCache } from "./step.ts";

/** RUN: a container of the stage's image runs the command, and what it changed is the new layer. `expand` fills variables in. */
export async function runStep(
	build: Build,
	state: StageState,
	run: RunInstruction,
	expand: (word: string) => string,
): Promise<void> {
	const asked = run.mounts.map((text) => parseRunMount(expand(text), wrongMount));
	const { words, script } = commandOf(state, run);
	const args = state.args.visible(state.run.Env);
	const shown = shownArgs(build, state, args);
	// Arguments decide about the cache, so they stand before the command; a proxy does not.
	const recorded =
		shown.length > 0 || (args.length > 0 && !build.request.buildKit) ? [`|${shown.length}`, ...shown, ...words] : words;
	const step = await stepWords(build, run, asked, recorded, script);
	if (await useCache(build, state, step)) return;
	if (!state.image) throw new EngineError("invalid", `cannot run ${words.join(" ")}: no files in the image yet`);
	using mounts = await prepareMounts(build, state, asked, words.join(" "));
	const extra = script ? [await scriptMount(build, script)] : [];
	const all = { mounts: [...mounts.mounts, ...extra], env: args, secretEnv: mounts.env, network: run.network };
	await build.turns.take(() => runAndCommit(build, state, words, all, step));
}

async function runAndCommit(
	build: Build,
	state: StageState,
	words: readonly string[],
	run: RunWith,
	step: StepWords,
): Promise<void> {
	const { snapshotter, mounts } = build.parts;
	if (build.signal.aborted) throw cancelled();
	const { id, stubs } = await createContainer(build, state, words, run);
	await build.output.text(` ---> Running in ${shortId(id)}\n`);
	const exitCode = await runContainer(build, id);
	if (exitCode !== 0) throw new CommandFailed(words, exitCode);
	if (stubs.length > 0) mounts.removeStubs(snapshotter.mount(id), stubs);
	await commitStep(build, state, step, { layer: snapshotter.archiveChanges(id), containerId: id });
}

function wrongMount(message: string): EngineError {
	return new EngineError("invalid", message);
}

/** What is run, and the file that it needs for that. Here-documents are the shell's, but for one alone: that is the command, or a script. */
function commandOf(state: StageState, { command, heredocs }: RunInstruction): { words: string[]; script?: Heredoc } {
	const [first] = heredocs;
	const text = command.words[0] ?? "";
	if (!first || !command.shell) return { words: wordsOf(state.run, command) };
	const isWhole = heredocs.length === 1 && openingOf(text.trim()) !== undefined;
	if (isWhole && first.content.startsWith("#!")) {
		return {
			words: wordsOf(state.run, { shell: true, words: [`/dev/pipes/${posix.basename(first.name)}`] }),
			script: first,
		};
	}
	const whole = isWhole
		? contentOf(first)
		: [text, ...heredocs.map(({ content, name }) => `${content}${name}`)].join("\n");
	return { words: wordsOf(state.run, { shell: true, words: [whole] }) };
}

/** BuildKit shows all that the stage declares, in that order; the classic builder what is set, sorted. */
function shownArgs(build: Build, { args }: StageState, visible: readonly string[]): string[] {
	if (build.request.buildKit) return args.inOrder();
	return visible.filter((one) => args.counts(one.split("=", 1)[0] ?? ""));
}

async function stepWords(
	build: Build,
	run: RunInstruction,
	asked: readonly RunMount[],
	recorded: readonly string[],
	script: Heredoc | undefined,
): Promise<StepWords> {
	const mounted = asked.length > 0 ? [await keyOfMounts(build, asked)] : [];
	const network = run.network === "default" ? [] : [`network=${run.network}`];
	const key = [...recorded, ...mounted, ...network, ...(script ? [contentOf(script)] : [])];
	const command = recorded.join(" ");
	if (!build.request.buildKit) return { key, shown: command };
	// Network and limits are part of what is run.
	const host = Object.entries(build.request.host).map(([name, value]) => `${name}=${JSON.stringify(value)}`);
	return { key: ["buildkit", ...key, ...host.sort()], shown: `RUN ${command} # buildkit` };
}

interface RunWith {
	readonly mounts: readonly MountRequest[];
	readonly env: readonly string[];
	readonly secretEnv: readonly string[];
	readonly network: RunInstruction["network"];
}

/** `stubs`: what the runtime makes in the image to mount on, the deepest first. */
async function createContainer(
	build: Build,
	state: StageState,
	words: readonly string[],
	{ mounts, env, secretEnv, network }: RunWith,
): Promise<{ readonly id: string; readonly stubs: readonly string[] }> {
	const { run } = state;
	const isBuildKit = build.request.buildKit !== undefined;
	const { id } = await build.parts.containers.create({
		config: {
			Hostname: isBuildKit ? "buildkitsandbox" : "",
			Domainname: "",
			User: run.User ?? "",
			AttachStdin: false,
			AttachStdout: true,
			AttachStderr: true,
			Tty: false,
			OpenStdin: false,
			StdinOnce: false,
			Env: [...run.Env, ...env],
			Cmd: [...words],
			Image: state.image?.id ?? "",
			// What a command writes to a volume stays in the layer with BuildKit, and goes with the classic builder.
			Volumes: isBuildKit ? null : (run.Volumes ?? null),
			WorkingDir: run.WorkingDir ?? "",
			// What the image would start with is not what is run.
			Entrypoint: [""],
			Labels: run.Labels ?? {},
			Healthcheck: { Test: ["NONE"] },
		},
		hostConfig: { ...PLAIN_HOST, ...build.request.host, ...networkOf(build, network), Mounts: [...mounts] },
		secretEnv,
	});
	build.containers.push(id);
	await build.parts.files.write(build.parts.directory, markOf(id), nothing());
	if (!isBuildKit) makeMountPoints(build, id, Object.keys(run.Volumes ?? {}));
	if (mounts.length === 0) return { id, stubs: [] };
	const root = build.parts.snapshotter.mount(id);
	return { id, stubs: mounts.flatMap(({ Target }) => build.parts.mounts.missing(root, Target)) };
}

function networkOf({ request: { buildKit } }: Build, network: RunInstruction["network"]): { NetworkMode?: string } {
	if (network === "default") return {};
	if (network === "host" && buildKit && !buildKit.entitlements.includes("network.host")) {
		throw new EngineError("invalid", "network.host is not allowed: RUN --network=host needs --allow network.host");
	}
	return { NetworkMode: network };
}

/** A file that says: this container is a running build's. What a crash leaves is taken away by it. */
function markOf(id: string): string {
	return `${MARK}${id}`;
}

const MARK = "container-";

async function* nothing(): AsyncGenerator<Uint8Array> {}

/** Removes the containers of builds that a crash of the daemon cut off. Before any build. */
export async function sweepContainers({ containers, files, directory, log }: BuildParts): Promise<void> {
	for (const name of files.list(directory)) {
		if (!name.startsWith(MARK)) continue;
		const id = name.slice(MARK.length);
		await containers
			.remove(id, { force: true, volumes: true, link: false })
			.catch((error) => log.debug("container of a build not removed", { id, error: messageOf(error) }));
	}
}

/** What volumes are mounted on is part of the image: the runtime would make it with a mode of its own. */
function makeMountPoints({ parts: { files, snapshotter } }: Build, id: string, paths: readonly string[]): void {
	if (paths.length === 0) return;
	const root = snapshotter.mount(id);
	for (const path of paths) files.makeDirectory(root, path);
}

/** Runs it to its end, its output to the client. When the build is cancelled it is removed, and this throws. */
async function runContainer(build: Build, id: string): Promise<number> {
	const { containers } = build.parts;
	const waiting = new AbortController();
	const cancel = () => {
		waiting.abort();
		containers.remove(id, { force: true, volumes: true, link: false }).catch(() => {});
	};
	build.signal.addEventListener("abort", cancel);
	try {
		if (build.signal.aborted) throw cancelled();
		const { stream } = await containers.attach(id, {
			stdin: false,
			stdout: true,
			stderr: true,
			logs: false,
			stream: true,
		});
		const exit = containers.wait(id, "next-exit", waiting.signal, () => {});
		exit.catch(() => {});
		try {
			await containers.start(id);
			await passOutput(build, stream);
		} finally {
			stream.destroy();
		}
		return (await exit).exitCode;
	} catch (error) {
		throw build.signal.aborted ? cancelled() : error;
	} finally {
		waiting.abort();
		build.signal.removeEventListener("abort", cancel);
	}
}

function cancelled(): EngineError {
	return new EngineError("cancelled", "Build cancelled");
}

/** Docker's frames as lines; what went to stderr is red. */
async function passOutput(build: Build, stream: Duplex): Promise<void> {
	const decoders = [new TextDecoder(), new TextDecoder(), new TextDecoder()];
	let left: Buffer = Buffer.alloc(0);
	for await (const chunk of stream) {
		left = left.length === 0 ? (chunk as Buffer) : Buffer.concat([left, chunk as Buffer]);
		while (left.length >= FRAME_HEADER_BYTES) {
			const end = FRAME_HEADER_BYTES + left.readUInt32BE(4);
			if (left.length < end) break;
			const source = left[0] ?? 0;
			const bytes = left.subarray(FRAME_HEADER_BYTES, end);
			await build.now.step?.log(source === STDERR ? STDERR : STDOUT, bytes);
			const text = decoders[source]?.decode(bytes, { stream: true }) ?? "";
			left = left.subarray(end);
			if (text !== "") await build.output.text(source === STDERR ? `\u001b[91m${text}\u001b[0m` : text);
		}
	}
}

/** Removes the containers of instructions, as the client asked. */
export async function removeContainers(build: Build, failed: boolean): Promise<void> {
	const { remove, forceRemove, buildKit } = build.request;
	const goes = buildKit !== undefined || forceRemove || (remove && !failed) || build.signal.aborted;
	for (const id of build.containers.splice(0)) {
		if (goes) await removeContainer(build, id);
		build.parts.files.remove(build.parts.directory, markOf(id));
	}
}

async function removeContainer(build: Build, id: string): Promise<void> {
	try {
		await build.parts.containers.remove(id, { force: true, volumes: true, link: false });
		await build.output.text(` ---> Removed intermediate container ${shortId(id)}\n`);
	} catch (error) {
		if (!build.signal.aborted)
			build.parts.log.warn("container of a build not removed", { id, error: messageOf(error) });
	}
}
