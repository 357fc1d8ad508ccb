/** What `GET /foredeck/v1/topology` answers with format json, which is the default. */
export type { Topology as TopologyReply } from "../../../engine/topology/contract.ts";

export const FORMATS = ["json", "text", "dot", "svg"] as const;
