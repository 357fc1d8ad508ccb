import { digestOf } from "../../oci/digest.ts";
import type { definition } from "./messages.ts";
import { type Decoded, field, integer, message, nested, optional, repeated, string } from "./protobuf.ts";

const source = message({ identifier: field(1, string) });
const input = message({ digest: field(1, string), index: field(2, integer) });
/** pb.Op, of which two kinds are written: a source, and the end that has no kind. */
const operation = message({ inputs: repeated(1, nested(input)), source: optional(3, source) });

const PREFIX = "docker-image://";

/**
 * A build's result as a definition: one operation, whose source is the image by its id. `docker buildx bake` hands it to the targets that stand
 * on this one; it means nothing to anybody else.
 */
export function definitionOf(imageId: string): Decoded<typeof definition> {
	const first = operation.encode({ source: { identifier: `${PREFIX}${imageId}` } });
	const end = operation.encode({ inputs: [{ digest: digestOf(first), index: 0 }] });
	// Clients take a definition without it for none.
	return { def: [first, end], metadata: new Map([[digestOf(first), {}]]) };
}

/** The image id in such a definition; undefined: it is none of ours. */
export function imageOf({ def }: Decoded<typeof definition>): string | undefined {
	const [first] = def;
	if (!first || def.length !== 2) return undefined;
	const { source: found } = operation.decode(first);
	return found?.identifier.startsWith(PREFIX) ? found.identifier.slice(PREFIX.length) : undefined;
}
