import { Elysia } from "elysia";
import type { Containers } from "../../engine/containers/contract.ts";
import { formatNano } from "../../shared/time.ts";
import { invalid } from "../errors.ts";
import { boolOf, queryOf } from "../query.ts";
import { streamResponse } from "../stream.ts";

type PathStat = Awaited<ReturnType<Containers["statPath"]>>;

/** `docker cp`, both ways. */
export function archiveRoutes(containers: Containers) {
	return (
		new Elysia()
			// The router has this handler serve HEAD as well, whether HEAD has one of its own or not.
			.get("/containers/:id/archive", async ({ request, params }) => {
				if (request.method === "HEAD") {
					const stat = await containers.statPath(params.id, pathOf(request));
					return new Response(null, { headers: statHeader(stat) });
				}
				const { stat, body } = await containers.archive(params.id, pathOf(request), request.signal);
				const response = streamResponse(body, "application/x-tar");
				for (const [name, value] of Object.entries(statHeader(stat))) response.headers.set(name, value);
				return response;
			})
			.put(
				"/containers/:id/archive",
				async ({ request, params }) => {
					const query = queryOf(request);
					await containers.extract(params.id, pathOf(request), bodyOf(request), {
						keepKinds: boolOf(query, "noOverwriteDirNonDir"),
						copyOwner: boolOf(query, "copyUIDGID"),
					});
					return new Response(null, { status: 200 });
				},
				{ parse: "none" },
			)
	);
}

function pathOf(request: Request): string {
	const path = queryOf(request).get("path");
	// docker's text, blank and all
	if (!path) throw invalid("bad parameter: pathcannot be empty");
	if (path.includes("\0")) throw invalid(`bad parameter: path has a NUL byte: ${JSON.stringify(path)}`);
	return path;
}

async function* bodyOf({ body }: Request): AsyncGenerator<Uint8Array> {
	if (body) yield* body;
}

function statHeader(stat: PathStat): Record<string, string> {
	const json = JSON.stringify({
		name: stat.name,
		size: stat.size,
		mode: goFileMode(stat.mode),
		mtime: formatNano(stat.mtimeNs).replace(/\.?0+Z$/, "Z"),
		linkTarget: stat.linkTarget,
	});
	return { "X-Docker-Container-Path-Stat": Buffer.from(json).toString("base64") };
}

const S_IFMT = 0o170000;
/** Go's os.FileMode bits of a file's type. Source: io/fs/fs.go. */
const GO_TYPES: ReadonlyMap<number, number> = new Map([
	[0o040000, 2 ** 31],
	[0o120000, 2 ** 27],
	[0o060000, 2 ** 26],
	[0o020000, 2 ** 26 + 2 ** 21],
	[0o010000, 2 ** 25],
	[0o140000, 2 ** 24],
]);

/** A mode of struct stat as Go's os.FileMode has it. */
export function goFileMode(mode: number): number {
	const type = GO_TYPES.get(mode & S_IFMT) ?? 0;
	const setuid = mode & 0o4000 ? 2 ** 23 : 0;
	const setgid = mode & 0o2000 ? 2 ** 22 : 0;
	const sticky = mode & 0o1000 ? 2 ** 20 : 0;
	return type + setuid + setgid + sticky + (mode & 0o777);
}
