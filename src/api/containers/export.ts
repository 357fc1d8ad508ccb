import type { Containers } from "../../engine/containers/contract.ts";
import { streamResponse } from "../stream.ts";

/** Docker's numbers for what happened to a path. */
const KINDS = { modified: 0, added: 1, deleted: 2 } as const;

/** `GET /containers/{id}/export`. */
export function exportReply(containers: Containers, ref: string): Response {
	return streamResponse(containers.exportRoot(ref), "application/x-tar");
}

/** `GET /containers/{id}/changes`; null, as dockerd's, when nothing changed. */
export async function changesReply(containers: Containers, ref: string): Promise<Response> {
	const changes = await containers.changes(ref);
	return Response.json(
		changes.length === 0 ? null : changes.map(({ path, kind }) => ({ Path: path, Kind: KINDS[kind] })),
	);
}
