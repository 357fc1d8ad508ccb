import type { Heredoc } from "./heredocs.ts";

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
	/** Files that stand in the Dockerfile. */
	readonly contents: readonly Heredoc[];
	readonly destination: string;
	readonly chown?: string;
	/** Octal, or symbolic as chmod(1) has it. */
	readonly chmod?: string;
	readonly from?: string;
	/** Directories above a source are kept. */
	readonly parents: boolean;
	/** Patterns of what is left out. */
	readonly exclude: readonly string[];
	/** Of a URL's bytes or a repository's commit. */
	readonly checksum?: string;
	readonly keepGitDir: boolean;
	/** Whether archives are unpacked; undefined: those of the context are, those of URLs not. */
	readonly unpack?: boolean;
}

export interface RunInstruction extends Common {
	readonly do: "RUN";
	readonly command: CommandLine;
	readonly heredocs: readonly Heredoc[];
	/** Values of `--mount`. */
	readonly mounts: readonly string[];
	readonly network: "default" | "none" | "host";
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
	| RunInstruction
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
	/** Image of the directive `syntax`; undefined: none. */
	readonly syntax?: string;
	/** ARG before the first FROM. */
	readonly metaArgs: readonly PairsInstruction[];
	readonly stages: readonly Stage[];
}
