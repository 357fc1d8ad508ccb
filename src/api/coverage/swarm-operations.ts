import { type Operation, toOperations } from "./shape.ts";

/** The operations of API v1.51 that belong to swarm and to plugins: 41. They answer as an engine outside a swarm and without plugins does. */
export const SWARM_OPERATIONS: readonly Operation[] = toOperations({
	plugins: [
		["GET", "/plugins", { filters: "filters" }],
		["GET", "/plugins/privileges", { remote: "string" }],
		["POST", "/plugins/pull", { remote: "string", name: "string" }, "json"],
		["GET", "/plugins/{name}/json"],
		["DELETE", "/plugins/{name}", { force: "boolean" }],
		["POST", "/plugins/{name}/enable", { timeout: "integer" }],
		["POST", "/plugins/{name}/disable", { force: "boolean" }],
		["POST", "/plugins/{name}/upgrade", { remote: "string" }, "json"],
		["POST", "/plugins/create", { name: "string" }, "tar"],
		["POST", "/plugins/{name}/push"],
		["POST", "/plugins/{name}/set", {}, "json"],
	],
	nodes: [
		["GET", "/nodes", { filters: "filters" }],
		["GET", "/nodes/{id}"],
		["DELETE", "/nodes/{id}", { force: "boolean" }],
		["POST", "/nodes/{id}/update", { version: "integer" }, "json"],
	],
	swarm: [
		["GET", "/swarm"],
		["POST", "/swarm/init", {}, "json"],
		["POST", "/swarm/join", {}, "json"],
		["POST", "/swarm/leave", { force: "boolean" }],
		[
			"POST",
			"/swarm/update",
			{
				version: "integer",
				rotateWorkerToken: "boolean",
				rotateManagerToken: "boolean",
				rotateManagerUnlockKey: "boolean",
			},
			"json",
		],
		["GET", "/swarm/unlockkey"],
		["POST", "/swarm/unlock", {}, "json"],
	],
	services: [
		["GET", "/services", { filters: "filters", status: "boolean" }],
		["POST", "/services/create", {}, "json"],
		["GET", "/services/{id}", { insertDefaults: "boolean" }],
		["DELETE", "/services/{id}"],
		[
			"POST",
			"/services/{id}/update",
			{ version: "integer", registryAuthFrom: { oneOf: ["spec", "previous-spec"] }, rollback: "string" },
			"json",
		],
		[
			"GET",
			"/services/{id}/logs",
			{
				details: "boolean",
				follow: "boolean",
				stdout: "boolean",
				stderr: "boolean",
				since: "time",
				timestamps: "boolean",
				tail: "string",
			},
		],
	],
	tasks: [
		["GET", "/tasks", { filters: "filters" }],
		["GET", "/tasks/{id}"],
		[
			"GET",
			"/tasks/{id}/logs",
			{
				details: "boolean",
				follow: "boolean",
				stdout: "boolean",
				stderr: "boolean",
				since: "time",
				timestamps: "boolean",
				tail: "string",
			},
		],
	],
	secrets: [
		["GET", "/secrets", { filters: "filters" }],
		["POST", "/secrets/create", {}, "json"],
		["GET", "/secrets/{id}"],
		["DELETE", "/secrets/{id}"],
		["POST", "/secrets/{id}/update", { version: "integer" }, "json"],
	],
	configs: [
		["GET", "/configs", { filters: "filters" }],
		["POST", "/configs/create", {}, "json"],
		["GET", "/configs/{id}"],
		["DELETE", "/configs/{id}"],
		["POST", "/configs/{id}/update", { version: "integer" }, "json"],
	],
});
