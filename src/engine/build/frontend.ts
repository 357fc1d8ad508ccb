import { EngineError } from "../../shared/errors.ts";

/** Docker's own frontend, which is built in, by the names of its images. */
const BUILT_IN = /^(docker\.io\/)?docker\/dockerfile(-upstream)?(:[\w.-]+)?(@sha256:[0-9a-f]{64})?$/;

/** Refuses the image of a frontend (`# syntax=IMAGE`) that is not the one built in: nobody's program reads Dockerfiles here. */
export function checkFrontendImage(image: string): void {
	if (!BUILT_IN.test(image)) throw refusedFrontend(`frontend image ${image}`);
}

export function refusedFrontend(what: string): EngineError {
	const own =
		"this engine builds Dockerfiles with the frontend that it has built in (dockerfile.v0, docker/dockerfile)";
	return new EngineError("unsupported", `${what} is not supported: ${own}`);
}
