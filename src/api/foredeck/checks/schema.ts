import type { CheckRequest } from "../../../engine/topology/contract.ts";
import { type Decode, integer, object, string } from "../../body.ts";
import { invalid } from "../../errors.ts";

/** What `POST /foredeck/v1/checks` answers. */
export type { CheckReport as CheckReply } from "../../../engine/topology/contract.ts";

const CHECK = object({ from: string(), to: string(), port: integer() });

/** Its body: `{"from": "web", "to": "db", "port": 5432}`; port 0 or none: a ping. */
export const decodeCheck: Decode<CheckRequest> = (value, path) => {
	const { from, to, port } = CHECK(value, path);
	if (from === "") throw invalid("from is needed: the container from which to look");
	if (to === "") throw invalid("to is needed: a container, an IPv4 address or a host name");
	if (port < 0 || port > 65535) throw invalid(`invalid port ${port}: it is 1 to 65535`);
	return { from, to, ...(port > 0 && { port }) };
};
