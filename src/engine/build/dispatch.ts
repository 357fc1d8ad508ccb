import { EngineError } from "../../shared/errors.ts";
import type { Build, StageState } from "./build-state.ts";
import { copyStep } from "./copy-step.ts";
import type { CopyInstruction, Instruction } from "./instructions.ts";
import * as metadata from "./metadata.ts";
import { removeContainers, runStep } from "./run-step.ts";
import { expandWord, expandWords, type Lookup } from "./words.ts";

/** Does one instruction of a stage: the state is that after it. Its container goes as the client asked. */
export async function dispatch(build: Build, state: StageState, instruction: Instruction): Promise<void> {
	let failed = true;
	try {
		await execute(build, state, instruction);
		failed = false;
	} finally {
		await removeContainers(build, failed);
	}
}

function execute(build: Build, state: StageState, instruction: Instruction): Promise<void> {
	const lookup = variablesOf(state);
	const expand = (word: string) => expandWord(word, lookup, build.escapeChar);
	switch (instruction.do) {
		case "ENV":
		case "LABEL":
			return metadata.setPairs(build, state, instruction, expand);
		case "ARG":
			return metadata.declareArgs(build, state, instruction.pairs, expand);
		case "EXPOSE":
			return metadata.expose(
				build,
				state,
				instruction.values.flatMap((word) => expandWords(word, lookup, build.escapeChar)),
			);
		case "VOLUME":
			return metadata.declareVolumes(build, state, instruction.values.map(expand));
		case "SHELL":
			return metadata.setShell(build, state, instruction.values);
		case "WORKDIR":
			return metadata.setWorkdir(build, state, expand(instruction.value));
		case "USER":
			return metadata.setUser(build, state, expand(instruction.value));
		case "STOPSIGNAL":
			return metadata.setStopSignal(build, state, expand(instruction.value));
		case "MAINTAINER":
			return metadata.setMaintainer(build, state, instruction.value);
		case "ONBUILD":
			return metadata.addTrigger(build, state, instruction.value);
		case "HEALTHCHECK":
			return metadata.setHealthcheck(build, state, instruction);
		case "CMD":
		case "ENTRYPOINT":
			return metadata.setCommand(build, state, instruction);
		case "RUN":
			refuseBuildKit(instruction.needsBuildKit);
			return runStep(build, state, instruction);
		case "COPY":
		case "ADD":
			refuseBuildKit(instruction.needsBuildKit);
			return copyStep(build, state, expanded(instruction, expand));
	}
}

function expanded(copy: CopyInstruction, expand: (word: string) => string): CopyInstruction {
	return {
		...copy,
		sources: copy.sources.map(expand),
		destination: expand(copy.destination),
		chown: copy.chown === undefined ? undefined : expand(copy.chown),
		from: copy.from === undefined ? undefined : expand(copy.from),
	};
}

/** The image's variables, and after them the build's arguments. */
function variablesOf({ run, args }: StageState): Lookup {
	const found = new Map<string, string>();
	for (const one of [...run.Env, ...args.visible(run.Env)]) {
		const at = one.indexOf("=");
		found.set(one.slice(0, at), one.slice(at + 1));
	}
	return (name) => found.get(name);
}

function refuseBuildKit(what: string | undefined): void {
	if (what === undefined) return;
	throw new EngineError(
		"invalid",
		`the ${what} requires BuildKit. Refer to https://docs.docker.com/go/buildkit/ to learn how to build images with BuildKit enabled`,
	);
}
