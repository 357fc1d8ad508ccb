import type { Reference } from "../../oci/reference.ts";

/** Source: distribution's token specification, "Token Scope". */
export function pullScope({ path }: Pick<Reference, "path">): string {
	return `repository:${path}:pull`;
}

export function pushScope({ path }: Pick<Reference, "path">): string {
	return `repository:${path}:pull,push`;
}
