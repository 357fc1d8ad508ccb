import { expect, test } from "bun:test";
import type { HostConfig } from "./config.ts";
import { logFile, logTarget, validateLog } from "./log-config.ts";
import type { ContainerRecord } from "./record.ts";

type Type = HostConfig["LogConfig"]["Type"];

const ID = "0123456789ab".padEnd(64, "c");
const CONTEXT = { dataRoot: "/data" };

function record(Type: Type, Config: Record<string, string> = {}): ContainerRecord {
	return {
		id: ID,
		name: "web",
		imageId: `sha256:${"f".repeat(64)}`,
		path: "sh",
		args: ["-c", "true"],
		config: { Image: "shop/web:1", Labels: { tier: "front", "com.example/x": "1" }, Env: ["MODE=a=b", "EMPTY="] },
		hostConfig: { LogConfig: { Type, Config } },
	} as unknown as ContainerRecord;
}

const target = (Type: Type, Config: Record<string, string> = {}) => logTarget(CONTEXT, record(Type, Config));
const refusal = (Type: Type, Config: Record<string, string>) => () => validateLog({ Type, Config });

test("json-file: limits in bytes, attributes and tag", () => {
	const path = `/data/containers/${ID}/${ID}-json.log`;
	expect(target("json-file")).toEqual({ path, maxSize: 0, maxFiles: 1, attributes: {} });
	expect(target("json-file", { "max-size": "10k", "max-file": "3", compress: "true" })).toMatchObject({
		maxSize: 10_240,
		maxFiles: 3,
		compress: true,
	});
	// docker takes it, and never rotates
	expect(target("json-file", { "max-file": "2" })).toMatchObject({ maxSize: 0, maxFiles: 2 });
	const options = {
		labels: "tier,none",
		"labels-regex": "^com\\.",
		env: "MODE",
		tag: "{{.ImageName}}/{{ .Name }}/{{.ID}}",
	};
	expect(target("json-file", options)?.attributes).toEqual({
		tier: "front",
		"com.example/x": "1",
		MODE: "a=b",
		tag: "shop/web:1/web/0123456789ab",
	});
	expect(target("json-file", { mode: "non-blocking", "max-buffer-size": "4m" })?.bufferBytes).toBe(4 << 20);
});

test("local: docker's defaults; none: nothing", () => {
	const path = `/data/containers/${ID}/local-logs/container.log`;
	expect(target("local")).toEqual({ driver: "local", path, maxSize: 20 << 20, maxFiles: 5, compress: true });
	expect(target("none")).toBeUndefined();
});

test("drivers that cannot be read keep a copy, unless it is switched off", () => {
	const cached = { path: `/data/containers/${ID}/container-cached.log`, maxSize: 1024, maxFiles: 5, compress: true };
	const options = { "cache-max-size": "1k", "syslog-address": "udp://10.0.0.1", "syslog-facility": "local7" };
	expect(target("syslog", options)).toMatchObject({
		cache: cached,
		syslog: { transport: "udp", address: "10.0.0.1:514", facility: 23, format: "", tag: "0123456789ab" },
	});
	expect(logFile(CONTEXT, record("syslog"))).toEqual({ path: cached.path, format: "local" });
	expect(logFile(CONTEXT, record("syslog", { "cache-disabled": "true" }))).toBeUndefined();
	expect(target("syslog", { "cache-disabled": "true" })?.cache).toBeUndefined();
	expect(logFile(CONTEXT, record("none"))).toBeUndefined();
});

test("journald: the fields of every entry", () => {
	expect(target("journald", { labels: "com.example/x,tier", tag: "{{.Name}}" })?.fields).toEqual({
		CONTAINER_ID: "0123456789ab",
		CONTAINER_ID_FULL: ID,
		CONTAINER_NAME: "web",
		CONTAINER_TAG: "web",
		IMAGE_NAME: "shop/web:1",
		SYSLOG_IDENTIFIER: "web",
		TIER: "front",
		COM_EXAMPLE_X: "1",
	});
});

test("syslog: addresses", () => {
	const address = (text: string) => target("syslog", { "syslog-address": text })?.syslog;
	expect(target("syslog")?.syslog).toMatchObject({ transport: "local", address: "", facility: 3 });
	expect(address("tcp://[::1]:99")).toMatchObject({ transport: "tcp", address: "[::1]:99" });
	expect(address("unixgram:///dev/log")).toMatchObject({ transport: "unixgram", address: "/dev/log" });
	const tls = target("syslog", { "syslog-address": "tcp+tls://logs:6514", "syslog-tls-ca-cert": "/ca.pem" });
	expect(tls?.syslog?.tls).toMatchObject({ ca: "/ca.pem", skipVerify: false });
	for (const bad of ["tcp://", "tcp://a:99999", "unix://relative"])
		expect(() => address(bad)).toThrow("syslog-address");
});

test("what is none is refused in docker's words", () => {
	const cases: [Type, Record<string, string>, string][] = [
		["json-file", { foo: "1" }, "unknown log opt 'foo' for json-file log driver"],
		["local", { labels: "1" }, "unknown log opt 'labels' for log driver local"],
		["json-file", { "max-size": "0" }, "max-size must be a positive number"],
		["json-file", { "max-size": "-1" }, "invalid size: '-1'"],
		["json-file", { "max-size": "abc" }, "invalid value for max-size: abc: invalid size: 'abc'"],
		["json-file", { "max-file": "0" }, "max-file cannot be less than 1"],
		["json-file", { compress: "true" }, "compress cannot be true when max-file is less than 2 or max-size is not set"],
		[
			"local",
			{ compress: "abc" },
			'error reading compress log option: strconv.ParseBool: parsing "abc": invalid syntax',
		],
		["local", { "max-file": "1" }, "compression cannot be enabled when max file count is 1"],
		["local", { "max-size": "0" }, "max size should be a positive number"],
		["json-file", { mode: "foo" }, "logger: logging mode not supported: foo"],
		["json-file", { "max-buffer-size": "1m" }, "logger: max-buffer-size option is only supported with"],
		[
			"local",
			{ mode: "non-blocking", "max-buffer-size": "zz" },
			"error parsing option max-buffer-size: invalid size: 'zz'",
		],
		["json-file", { "env-regex": "[" }, "error parsing regexp"],
		["json-file", { tag: "{{.Foo}}" }, "can't evaluate field Foo"],
		["json-file", { tag: "{{" }, "template: log-tag"],
		["syslog", { "syslog-address": "foo" }, "unsupported scheme: ''"],
		["syslog", { "syslog-facility": "foo" }, "invalid syslog facility"],
		["syslog", { "syslog-format": "foo" }, "Invalid syslog format"],
		["journald", { "cache-disabled": "x" }, "invalid value for option cache-disabled: x"],
	];
	for (const [type, options, text] of cases) expect(refusal(type, options)).toThrow(text);
	expect(refusal("none", { mode: "blocking", "max-size": "x" })).not.toThrow();
	for (const type of ["json-file", "local", "syslog", "journald", "none"] as const)
		expect(refusal(type, {})).not.toThrow();
});
