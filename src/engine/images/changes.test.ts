import { expect, test } from "bun:test";
import { applyChanges } from "./changes.ts";

test("changes are read as Dockerfile instructions", () => {
	const changes = ['CMD ["a", "b c"]', "entrypoint run it", 'ENV A=1 B="x y" C=d\\ e', "ENV A 2 3", "EXPOSE 80 53/udp"];
	const more = ['LABEL k="v w"', "USER 1:2", 'VOLUME ["/v"]', "WORKDIR /a", "WORKDIR b", "STOPSIGNAL SIGINT"];
	expect(applyChanges({}, [...changes, ...more])).toEqual({
		Cmd: ["a", "b c"],
		Entrypoint: ["/bin/sh", "-c", "run it"],
		Env: ["A=2 3", "B=x y", "C=d e"],
		ExposedPorts: { "80/tcp": {}, "53/udp": {} },
		Labels: { k: "v w" },
		User: "1:2",
		Volumes: { "/v": {} },
		WorkingDir: "/a/b",
		StopSignal: "SIGINT",
	});
});

test("other instructions are refused by name", () => {
	for (const bad of ["RUN x", "CONSTRUCTOR x", "CMD", "EXPOSE http", "ENV x"])
		expect(() => applyChanges({}, [bad])).toThrow();
});
