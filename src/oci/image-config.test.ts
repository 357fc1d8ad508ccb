import { expect, test } from "bun:test";
import { parseImageConfig, parseStoredConfig } from "./image-config.ts";

const DIFF = `sha256:${"a".repeat(64)}`;
const configOf = (top: object, config?: object) =>
	JSON.stringify({ architecture: "amd64", os: "linux", rootfs: { diff_ids: [DIFF] }, config, ...top });

test("what real images have passes, nulls and unknown fields too", () => {
	const config = {
		...{ User: "", Env: null, Cmd: ["sh"], Entrypoint: null, Labels: { a: "b" }, OnBuild: [], StopTimeout: 3 },
		...{ ExposedPorts: { "80/tcp": {} }, Volumes: { "/data": null }, ArgsEscaped: true, Hostname: 5 },
		Healthcheck: { Test: ["NONE"], Interval: 1e9, Retries: 3 },
	};
	const history = [{ created: "2020-01-01T00:00:00Z", created_by: "x", empty_layer: true }, {}];
	const read = parseImageConfig(configOf({ created: "2020-01-01T00:00:00.123456789Z", history, id: 5 }, config));
	expect([read.config?.Cmd, read.rootfs.diff_ids, read.history?.length]).toEqual([["sh"], [DIFF], 2]);
	expect(parseImageConfig(configOf({ config: null, history: null, created: null })).history).toBeUndefined();
});

test.each<[string, object]>([
	["Labels", { Labels: { a: 5 } }],
	["Labels", { Labels: ["x"] }],
	["Volumes", { Volumes: { "/v": "x" } }],
	["ExposedPorts", { ExposedPorts: { "80/tcp": 1 } }],
	["Env", { Env: [5] }],
	["User", { User: 5 }],
	["StopTimeout", { StopTimeout: "x" }],
	["StopTimeout", { StopTimeout: 1e99 }],
	["ArgsEscaped", { ArgsEscaped: "x" }],
	["Healthcheck", { Healthcheck: "x" }],
	["Healthcheck.Test", { Healthcheck: { Test: "x" } }],
	["Healthcheck.Test", { Healthcheck: { Test: ["CMD", 5] } }],
	["Healthcheck.Interval", { Healthcheck: { Interval: 1e300 } }],
])("a wrong type would break clients' lists, and is refused: config.%s", (field, config) => {
	expect(() => parseImageConfig(configOf({}, config))).toThrow(`invalid image config: config.${field} is `);
});

test.each<[string, object]>([
	["config", { config: [] }],
	["history", { history: "x" }],
	["history[0]", { history: [null] }],
	["history[1].created_by", { history: [{}, { created_by: 5 }] }],
	["history[0].empty_layer", { history: [{ empty_layer: "x" }] }],
	["created", { created: "yesterday" }],
	["author", { author: 5 }],
	["rootfs", { rootfs: null }],
])("%s", (field, top) => {
	expect(() => parseImageConfig(configOf(top))).toThrow(`invalid image config: ${field} is `);
});

test("an image that an earlier version took is read all the same, without what is wrong", () => {
	const stored = configOf({ author: "x" }, { Labels: { a: 5 }, Cmd: ["sh"] });
	expect(parseStoredConfig(stored)).toEqual(
		parseImageConfig(JSON.stringify({ architecture: "amd64", os: "linux", rootfs: { diff_ids: [DIFF] } })),
	);
	expect(parseStoredConfig(configOf({}, { Cmd: ["sh"] })).config?.Cmd).toEqual(["sh"]);
	const twice = `{"rootfs":{"diff_ids":[]},"rootfs":{"diff_ids":["${DIFF}"]}}`;
	expect(() => parseImageConfig(twice)).toThrow('duplicate key "rootfs"');
	expect(parseStoredConfig(twice).rootfs.diff_ids).toEqual([DIFF]);
});
