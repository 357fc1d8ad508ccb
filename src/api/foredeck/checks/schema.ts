import type { CheckRequest } from "../../../engine/topology/contract.ts";
import { type Decode, integer, object, string } from "../../body.ts";
import { invalid } from "../../errors.ts";

/** What `POST /foredeck/v1/checks` answers. */
export type { CheckReport as CheckReply } from "../../../engine/topology/contract.ts";

const CHECK = object({ from: string(), to: string(), port: integer(), family: integer() });

/** Its body: `{"from": "web", "to": "db", "port": 5432, "family": 6}`; port 0 or none: a ping; family 0 or none: both. */
export const decodeCheck: Decode<CheckRequest> = (value, path) => {
	const { from, to, port, family } = CHECK(value, path);
	if (from === "") throw invalid("from is needed: the container from which to look");
	if (to === "") throw invalid("to is needed: a container, an address or a host name");
	if (port < 0 || port > 65535) throw invalid(`invalid port ${port}: it is 1 to 65535`);
	if (![0, 4, 6].includes(family)) throw invalid(`invalid family ${family}: it is 4 or 6`);
	return { from, to, ...(port > 0 && { port }), ...((family === 4 || family === 6) && { family }) };
};
