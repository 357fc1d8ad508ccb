/** The parts of an OCI / docker image configuration that the engine reads. Source: OCI image spec, config.md, plus docker's additions. */
export interface ImageConfig {
	readonly architecture: string;
	readonly os: string;
	readonly variant?: string;
	readonly created?: string;
	readonly author?: string;
	readonly config?: ImageRunConfig;
	readonly rootfs: { readonly type: "layers"; readonly diff_ids: readonly string[] };
	readonly history?: readonly ImageHistory[];
}

/** What a container inherits from its image. Field names are docker's. */
export interface ImageRunConfig {
	readonly User?: string;
	readonly ExposedPorts?: Readonly<Record<string, object>>;
	readonly Env?: readonly string[];
	readonly Entrypoint?: readonly string[];
	readonly Cmd?: readonly string[];
	readonly Volumes?: Readonly<Record<string, object>>;
	readonly WorkingDir?: string;
	readonly Labels?: Readonly<Record<string, string>>;
	readonly StopSignal?: string;
	readonly Shell?: readonly string[];
	readonly Healthcheck?: unknown;
	readonly OnBuild?: readonly string[];
}

export interface ImageHistory {
	readonly created?: string;
	readonly created_by?: string;
	readonly author?: string;
	readonly comment?: string;
	readonly empty_layer?: boolean;
}
