/** Arguments that need no ARG, and are in no history: a proxy is the machine's, not the image's. */
const PREDEFINED = [
	...["HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "FTP_PROXY", "ftp_proxy"],
	...["NO_PROXY", "no_proxy", "ALL_PROXY", "all_proxy"],
];

/** The build arguments of one stage: what the client gave, and what the Dockerfile declares. Source: Dockerfile reference, ARG. */
export class BuildArgs {
	private readonly declared = new Map<string, string | undefined>();
	private readonly used: Set<string>;

	/** @param given null: named by the client without a value */
	constructor(
		private readonly given: ReadonlyMap<string, string | null>,
		/** Declared before the first FROM. */
		private readonly meta: Map<string, string | undefined> = new Map(),
		used: Set<string> = new Set(),
	) {
		this.used = used;
	}

	/** For the next stage: its own declarations, the same client. */
	nextStage(): BuildArgs {
		return new BuildArgs(this.given, this.meta, this.used);
	}

	/** BuildKit: a stage has what the stage that it stands on declares. */
	inherit(from: BuildArgs): void {
		for (const [name, value] of from.declared) this.declare(name, value);
	}

	declareMeta(name: string, value: string | undefined): void {
		this.meta.set(name, value);
		this.used.add(name);
	}

	declare(name: string, value: string | undefined): void {
		this.declared.set(name, value);
		this.used.add(name);
	}

	/** Those that FROM lines see. */
	metaValue(name: string): string | undefined {
		return this.meta.has(name) ? (this.given.get(name) ?? this.meta.get(name)) : undefined;
	}

	/** `NAME=value` of all that this stage may see and `env` does not set, sorted. */
	visible(env: readonly string[]): string[] {
		const set = new Set(env.map((one) => one.split("=", 1)[0] ?? ""));
		return [...new Set([...this.declared.keys(), ...PREDEFINED])]
			.filter((name) => !set.has(name))
			.flatMap((name) => {
				const value = this.valueOf(name);
				return value === undefined ? [] : [`${name}=${value}`];
			})
			.sort();
	}

	/** `NAME=value` of what this stage declares, in order; empty where it has no value. */
	inOrder(): string[] {
		return [...this.declared.keys()].map((name) => `${name}=${this.valueOf(name) ?? ""}`);
	}

	/** Whether it shows in the history and decides about the cache. */
	counts(name: string): boolean {
		return this.declared.has(name) || !PREDEFINED.includes(name);
	}

	/** Those of the client that nothing declared. */
	unused(): string[] {
		return [...this.given.keys()].filter((name) => !this.used.has(name) && !PREDEFINED.includes(name)).sort();
	}

	/** What a declared argument is. */
	valueOf(name: string): string | undefined {
		const given = this.given.get(name);
		if (given !== undefined && given !== null) return given;
		return this.declared.get(name) ?? (this.declared.has(name) ? this.metaValue(name) : undefined);
	}
}
