/** A Dockerfile's instructions as data. `text` is the line as docker shows it: continuations joined, without comments. */
interface Common {
	readonly text: string;
	/** Of its first line, from 1. */
	readonly line: number;
}

/** Exec form when `shell` is false. */
export interface CommandLine {
	readonly shell: boolean;
	readonly words: readonly string[];
}

export interface Pair {
	readonly name: string;
	readonly value?: string;
}

export interface Healthcheck {
	readonly Test: readonly string[];
	/** Nanoseconds. */
	readonly Interval?: number;
	readonly Timeout?: number;
	readonly StartPeriod?: number;
	readonly StartInterval?: number;
	readonly Retries?: number;
}

export interface CopyInstruction extends Common {
	readonly do: "COPY" | "ADD";
	readonly sources: readonly string[];
	readonly destination: string;
	readonly chown?: string;
	readonly from?: string;
	/** An option or syntax that only BuildKit has. */
	readonly needsBuildKit?: string;
}

export interface CommandInstruction extends Common {
	readonly do: "CMD" | "ENTRYPOINT";
	readonly command: CommandLine;
}

export interface PairsInstruction extends Common {
	readonly do: "ENV" | "LABEL" | "ARG";
	readonly pairs: readonly Pair[];
}

export type Instruction =
	| (Common & { readonly do: "RUN"; readonly command: CommandLine; readonly needsBuildKit?: string })
	| CommandInstruction
	| PairsInstruction
	| (Common & { readonly do: "EXPOSE" | "VOLUME" | "SHELL"; readonly values: readonly string[] })
	| (Common & {
			readonly do: "WORKDIR" | "USER" | "STOPSIGNAL" | "MAINTAINER" | "ONBUILD";
			readonly value: string;
	  })
	| (Common & { readonly do: "HEALTHCHECK"; readonly check: Healthcheck })
	| CopyInstruction;

export interface Stage extends Common {
	readonly base: string;
	/** Lower case; "" when it has none. */
	readonly name: string;
	readonly platform?: string;
	readonly instructions: readonly Instruction[];
}

export interface Dockerfile {
	readonly escapeChar: string;
	/** ARG before the first FROM. */
	readonly metaArgs: readonly PairsInstruction[];
	readonly stages: readonly Stage[];
}
