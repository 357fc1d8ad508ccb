/** The type of a query parameter or of a field of a JSON body, as API v1.51 has it. */
export type Shape =
	| "string"
	| "boolean"
	| "integer"
	/** JSON text: lists of strings by name */
	| "filters"
	/** seconds since the epoch, RFC 3339 or a duration back from now */
	| "time"
	| { readonly oneOf: readonly string[] }
	| { readonly list: Shape }
	| { readonly map: Shape }
	| { readonly fields: Readonly<Record<string, Shape>> };

export type Method = "GET" | "HEAD" | "POST" | "PUT" | "DELETE";

/** `tar`: a stream in; `json`: fields that are not looked at, since the operation is refused before. */
export type Body = Shape | "tar" | "json";

export interface Operation {
	readonly method: Method;
	/** `/containers/{id}/json`, as the specification writes it */
	readonly path: string;
	readonly area: string;
	readonly query: Readonly<Record<string, Shape>>;
	readonly body?: Body;
}

/** How the lists are written: method, path, query, body. */
export type Row = readonly [Method, string, Readonly<Record<string, Shape>>?, Body?];

export function toOperations(areas: Readonly<Record<string, readonly Row[]>>): Operation[] {
	return Object.entries(areas).flatMap(([area, rows]) =>
		rows.map(([method, path, query = {}, body]) => ({ method, path, area, query, body })),
	);
}
