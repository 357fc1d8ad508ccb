import { messageOf } from "../shared/errors.ts";
import type { Logger } from "../shared/log.ts";
import type { Handler } from "./handlers.ts";
import { encodeAnswer, encodeError, fitReply, parseQuery, type Query, RCODE } from "./message.ts";
import type { Observer } from "./policy.ts";

/** Bytes in, bytes out: at once where a handler knows, later where it is forwarded, undefined where no reply is due. */
export type Responder = (
	bytes: Uint8Array,
	transport: Query["transport"],
	client: string,
) => Uint8Array | Promise<Uint8Array> | undefined;

/** Asks the handlers in order; the first that answers ends the chain, REFUSED when none does. What an observer throws is SERVFAIL. */
export function createResponder(handlers: readonly Handler[], log: Logger, observe: Observer = () => {}): Responder {
	return (bytes, transport, client) => {
		const query = parseQuery(bytes, transport, client);
		if (query === undefined) return undefined;
		if (typeof query === "number") return encodeError(bytes, query);
		try {
			return answerWith(handlers, query, log, observe);
		} catch (error) {
			log.error("dns query failed", { name: query.name, type: query.type, error: messageOf(error) });
			return encodeError(bytes, RCODE.SERVFAIL, query.questionEnd);
		}
	};
}

function answerWith(
	handlers: readonly Handler[],
	query: Query,
	log: Logger,
	observe: Observer,
): Uint8Array | Promise<Uint8Array> {
	const observed = (reply: Uint8Array) => {
		observe(query, reply);
		return reply;
	};
	for (const handler of handlers) {
		const answer = handler.answer(query);
		if (answer === undefined) continue;
		if (!(answer instanceof Promise)) return observed(encodeAnswer(query, answer));
		return answer
			.then((reply) => observed(fitReply(query, reply)))
			.catch((error: unknown) => {
				log.debug("dns forward failed", { name: query.name, type: query.type, error: messageOf(error) });
				return encodeError(query.bytes, RCODE.SERVFAIL, query.questionEnd);
			});
	}
	return encodeError(query.bytes, RCODE.REFUSED, query.questionEnd);
}
