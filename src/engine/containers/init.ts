import { existsSync } from "node:fs";
import { EngineError } from "../../shared/errors.ts";
import type { ContainerDeps } from "./context.ts";

const PLACES = ["/usr/bin/docker-init", "/usr/libexec/docker/docker-init", "/usr/bin/tini-static", "/sbin/docker-init"];

/** The first of the usual places that has one. */
export function installedInit(): string | undefined {
	return PLACES.find((place) => existsSync(place));
}

/** The static init for --init; "invalid" says what to install. */
export function findInit(deps: Pick<ContainerDeps, "initPath">): string {
	const path = deps.initPath ? deps.initPath() : installedInit();
	if (path) return path;
	throw new EngineError(
		"invalid",
		`cannot use HostConfig.Init true: no static init found at ${PLACES.join(", ")}; install the package tini`,
	);
}
