import { type Method, unary } from "./grpc.ts";
import { nothing } from "./messages.ts";
import { field, integer, message } from "./protobuf.ts";

const SERVING = 1;
const healthResponse = message({ status: field(1, integer) });

/** grpc.health.v1: whether we are here. */
export function healthMethods(): [string, Method][] {
	return [["/grpc.health.v1.Health/Check", unary(nothing, healthResponse, () => ({ status: SERVING }))]];
}
