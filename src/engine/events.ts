/** One line of docker's event stream. */
export interface EngineEvent {
	readonly Type: "container" | "image" | "network" | "volume" | "daemon";
	readonly Action: string;
	readonly Actor: { readonly ID: string; readonly Attributes: Readonly<Record<string, string>> };
	readonly scope: "local";
	/** seconds */
	readonly time: number;
	readonly timeNano: bigint;
}

export interface Events {
	publish(type: EngineEvent["Type"], action: string, id: string, attributes: Record<string, string>): void;
	/**
	 * Events kept (the last 1000, those of earlier daemons too) that lie in the range, if it has an end at all; then live ones until `until` or
	 * abort. Nanoseconds.
	 */
	subscribe(range: { since?: bigint; until?: bigint }, signal: AbortSignal): AsyncIterable<EngineEvent>;
}
