import type { ContainerState, Health } from "../../engine/containers/record.ts";
import { humanDuration } from "../durations.ts";

const HEALTH = { starting: "health: starting", healthy: "healthy", unhealthy: "unhealthy" } as const;

/** The STATUS column of `docker ps`. `now` in milliseconds since the epoch. */
export function statusText(state: ContainerState, now: number, health?: Health): string {
	const since = (time: string | undefined) => humanDuration(Math.max(0, now - Date.parse(time ?? "")));
	switch (state.status) {
		case "created":
			return "Created";
		case "running":
			return `Up ${since(state.startedAt)}${health ? ` (${HEALTH[health.status]})` : ""}`;
		case "paused":
			return `Up ${since(state.startedAt)} (Paused)`;
		case "restarting":
			return `Restarting (${state.exitCode}) ${since(state.finishedAt)} ago`;
		case "exited":
			return `Exited (${state.exitCode}) ${since(state.finishedAt)} ago`;
		case "removing":
			return "Removal In Progress";
		case "dead":
			return "Dead";
	}
}
