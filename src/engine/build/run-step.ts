import type { Duplex } from "node:stream";
import { EngineError, messageOf } from "../../shared/errors.ts";
import { shortId } from "../../shared/id.ts";
import { FRAME_HEADER_BYTES, STDERR, STDOUT } from "../../shared/stdcopy.ts";
import { PLAIN_HOST } from "../containers/config.ts";
import type { Build, BuildParts, StageState } from "./build-state.ts";
import { CommandFailed } from "./command-failed.ts";
import type { RunInstruction } from "./instructions.ts";
import { wordsOf } from "./run-config.ts";
import { commitStep, useCache } from "./step.ts";

/** RUN: a container of the stage's image runs the command, and what it changed is the new layer. */
export async function runStep(
	build: Build,
	state: StageState,
	{ command }: RunInstruction,
	_expand: (word: string) => string,
): Promise<void> {
	const words = wordsOf(state.run, command);
	const args = state.args.visible(state.run.Env);
	const shown = args.filter((one) => state.args.counts(one.split("=", 1)[0] ?? ""));
	// Arguments decide about the cache, so they stand before the command; a proxy does not.
	const recorded = args.length > 0 ? [`|${shown.length}`, ...shown, ...words] : words;
	if (await useCache(build, state, recorded)) return;
	if (!state.image) throw new EngineError("invalid", `cannot run ${words.join(" ")}: no files in the image yet`);
	const id = await createContainer(build, state, words, args);
	await build.output.text(` ---> Running in ${shortId(id)}\n`);
	const exitCode = await runContainer(build, id);
	if (exitCode !== 0) throw new CommandFailed(words, exitCode);
	await commitStep(build, state, recorded, {
		layer: build.parts.snapshotter.archiveChanges(id),
		containerId: id,
	});
}

async function createContainer(
	build: Build,
	state: StageState,
	words: readonly string[],
	args: readonly string[],
): Promise<string> {
	const { run } = state;
	const { id } = await build.parts.containers.create({
		config: {
			Hostname: "",
			Domainname: "",
			User: run.User ?? "",
			AttachStdin: false,
			AttachStdout: true,
			AttachStderr: true,
			Tty: false,
			OpenStdin: false,
			StdinOnce: false,
			Env: [...run.Env, ...args],
			Cmd: [...words],
			Image: state.image?.id ?? "",
			Volumes: run.Volumes ?? null,
			WorkingDir: run.WorkingDir ?? "",
			// What the image would start with is not what is run.
			Entrypoint: [""],
			Labels: run.Labels ?? {},
			Healthcheck: { Test: ["NONE"] },
		},
		hostConfig: { ...PLAIN_HOST, ...build.request.host },
	});
	build.containers.push(id);
	await build.parts.files.write(build.parts.directory, markOf(id), nothing());
	makeMountPoints(build, id, Object.keys(run.Volumes ?? {}));
	return id;
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
	const { remove, forceRemove } = build.request;
	const goes = forceRemove || (remove && !failed) || build.signal.aborted;
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
