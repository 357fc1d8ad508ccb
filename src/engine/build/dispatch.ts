import type { Build, StageState } from "./build-state.ts";
import { copyStep } from "./copy-step.ts";
import type { CopyInstruction, Instruction } from "./instructions.ts";
import * as metadata from "./metadata.ts";
import { removeContainers, runStep } from "./run-step.ts";
import { expandText, expandWord, expandWords, type Lookup } from "./words.ts";

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
			return runStep(build, state, instruction, expand);
		case "COPY":
		case "ADD":
			return copyStep(build, state, expanded(build, instruction, lookup));
	}
}

function expanded(build: Build, copy: CopyInstruction, lookup: Lookup): CopyInstruction {
	const expand = (word: string) => expandWord(word, lookup, build.escapeChar);
	const known = (word: string | undefined) => (word === undefined ? word : expand(word));
	return {
		...copy,
		sources: copy.sources.map(expand),
		contents: copy.contents.map((one) =>
			one.expand ? { ...one, content: expandText(one.content, lookup, build.escapeChar) } : one,
		),
		destination: expand(copy.destination),
		chown: known(copy.chown),
		chmod: known(copy.chmod),
		checksum: known(copy.checksum),
		exclude: copy.exclude.map(expand),
		from: known(copy.from),
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
