import { expect, test } from "bun:test";
import { buildRequestOf } from "./options.ts";

const parts = {
	client: { upload: (url: string) => [url] } as never,
	progress: {} as never,
	sharedKey: "key",
	entitlements: [] as string[],
	signal: new AbortController().signal,
};

const read = (options: Record<string, string>, frontend = "dockerfile.v0", more: Partial<typeof parts> = {}) =>
	buildRequestOf({ frontend, options: new Map(Object.entries(options)) }, { ...parts, ...more });

test("options of docker build are those of a build", () => {
	const { buildKit, host, ...request } = read({
		filename: "File",
		target: "two",
		"build-arg:A": "1",
		"build-arg:B": "",
		"label:x": "y=z",
		"context:Base": "docker-image://busybox",
		"no-cache": "One,two",
		"image-resolve-mode": "pull",
		"add-hosts": "a=1.2.3.4,b=::1",
		ulimit: "nofile=1:2,core=-1",
		"shm-size": "1024",
		"cache-imports": '[{"Type":"registry","Attrs":{"ref":"a/b"}}]',
	});
	expect(request).toMatchObject({
		context: { local: "context" },
		dockerfile: "File",
		target: "two",
		labels: { x: "y=z" },
		noCache: false,
		pull: true,
		cacheFrom: ["a/b"],
	});
	expect([...request.buildArgs]).toEqual([
		["A", "1"],
		["B", ""],
	]);
	expect(buildKit).toMatchObject({ dockerfileIn: "dockerfile", noCacheFilter: ["one", "two"] });
	expect([...(buildKit?.namedContexts ?? [])]).toEqual([["base", "docker-image://busybox"]]);
	expect(host).toEqual({
		ShmSize: 1024,
		ExtraHosts: ["a:1.2.3.4", "b:::1"],
		Ulimits: [
			{ Name: "nofile", Soft: 1, Hard: 2 },
			{ Name: "core", Soft: -1, Hard: -1 },
		],
	});
});

test("a context is a directory of the client, a URL with its own Dockerfile, or what the client uploads", () => {
	expect(read({ context: "https://example.com/x.git" })).toMatchObject({
		context: { url: "https://example.com/x.git" },
	});
	expect(read({ context: "https://example.com/x.git" }).buildKit?.dockerfileIn).toBeUndefined();
	const beside = read({ context: "https://example.com/x.git", dockerfilekey: "dockerfile" });
	expect(beside.buildKit?.dockerfileIn).toBe("dockerfile");
	expect(read({ context: "http://buildkit-session/1" }).context).toEqual({
		body: ["http://buildkit-session/1"] as never,
	});
	expect(read({ "no-cache": "" })).toMatchObject({ noCache: true, buildKit: { noCacheFilter: [] } });
});

test("docker's own frontend is built in; everybody else's is refused, as is what is not there", () => {
	expect(read({ source: "docker/dockerfile:1.7-labs" }, "gateway.v0").dockerfile).toBe("");
	const refusals: [Record<string, string>, string, string][] = [
		[{ source: "someone/frontend" }, "gateway.v0", "frontend image someone/frontend is not supported"],
		[{}, "", "a raw LLB definition"],
		[{ requestid: "frontend.lint" }, "dockerfile.v0", "frontend.lint is not supported"],
		[{ "attest:sbom": "x" }, "dockerfile.v0", "build option attest:sbom=x is not supported"],
		[{ platform: "linux/amd64,linux/arm64" }, "dockerfile.v0", "multiple platforms"],
		[{ "cache-imports": '[{"Type":"gha"}]' }, "dockerfile.v0", "cache import of type gha"],
		[{ ulimit: "nofile" }, "dockerfile.v0", "invalid ulimit nofile"],
		[{ "shm-size": "1k" }, "dockerfile.v0", "shm-size=1k is no whole number"],
	];
	for (const [options, frontend, text] of refusals) expect(() => read(options, frontend)).toThrow(text);
});

test("the host's network needs the client's word", () => {
	expect(() => read({ "force-network-mode": "host" })).toThrow("network.host is not allowed");
	const allowed = read({ "force-network-mode": "host" }, "dockerfile.v0", { entitlements: ["network.host"] });
	expect(allowed.host).toEqual({ NetworkMode: "host" });
});
