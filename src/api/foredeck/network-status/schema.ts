/** What `GET /foredeck/v1/network-status` answers. */
export type { NetworkStatus as NetworkStatusReply } from "../../../engine/topology/contract.ts";
