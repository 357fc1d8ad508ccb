import { expect, test } from "bun:test";
import { contextPaths } from "./context-paths.ts";
import { parseDockerfile } from "./dockerfile.ts";

const paths = async (...lines: string[]) =>
	contextPaths((await parseDockerfile(["FROM scratch AS a", ...lines].join("\n"))).stages);

test("sources of COPY and ADD, and of mounts, are the paths that are needed", async () => {
	expect(await paths("COPY b/ ./a* /x/", "ADD c /c", "RUN --mount=type=bind,source=d,target=/d true")).toEqual([
		...["a*", "b", "c", "d"],
	]);
	expect(await paths("FROM scratch", "COPY --from=a x /x", "ADD https://example.com/f /f", "COPY y /y")).toEqual(["y"]);
});

test("all may be needed when a path is the root or is not known yet", async () => {
	for (const line of ["COPY . /x", "COPY / /x", "COPY $A /x", "COPY a/../ /x", "RUN --mount=target=/m true"]) {
		expect(await paths("COPY one /one", line)).toEqual([]);
	}
});
