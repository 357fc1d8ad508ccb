import { Elysia } from "elysia";
import type { Containers } from "../../engine/containers/contract.ts";
import { boolean, type Decode, integer, nullable, object, readOptionalJson, string, unsigned } from "../body.ts";
import { restartPolicy } from "./schema.ts";

const RESOURCES = {
	Memory: integer(),
	MemoryReservation: integer(),
	MemorySwap: integer(),
	NanoCpus: integer(),
	CpuShares: integer(),
	CpuPeriod: integer(),
	CpuQuota: integer(),
	CpusetCpus: string(),
	CpusetMems: string(),
	PidsLimit: nullable(integer()),
	BlkioWeight: unsigned(16),
	CpuRealtimePeriod: integer(),
	CpuRealtimeRuntime: integer(),
	OomKillDisable: boolean(),
};

/** One without a name says nothing. */
const policy: Decode<ReturnType<typeof restartPolicy> | undefined> = (value, path) => {
	const { Name } = object({ Name: string() })(value, path);
	return Name === "" ? undefined : restartPolicy(value, path);
};

const decodeResources = object(RESOURCES);
const decodePolicy = object({ RestartPolicy: policy });

type UpdateRequest = Parameters<Containers["update"]>[1];

export const decodeUpdate: Decode<UpdateRequest> = (value, path) => ({
	resources: decodeResources(value, path),
	restartPolicy: decodePolicy(value, path).RestartPolicy,
});

/** `docker update`. */
export function updateRoutes(containers: Containers) {
	return new Elysia().post(
		"/containers/:id/update",
		async ({ request, params }) => {
			const asked = await readOptionalJson(request, decodeUpdate, "UpdateConfig");
			const { warnings } = await containers.update(params.id, asked);
			return Response.json({ Warnings: warnings.length > 0 ? warnings : null });
		},
		{ parse: "none" },
	);
}
