import { describe, expect, test } from "bun:test";
import { UsageError } from "../shared/usage-error.ts";
import { resolveConfig } from "./config.ts";

const noFile = (): string => {
	throw new Error("no file is read without --config");
};

const withFile = (content: unknown, argv: string[] = []) =>
	resolveConfig(["--config", "/etc/f.json", ...argv], (path) => {
		expect(path).toBe("/etc/f.json");
		return typeof content === "string" ? content : JSON.stringify(content);
	});

describe("resolveConfig", () => {
	test("without flags gives the documented defaults", () => {
		const { options, entries } = resolveConfig([], noFile);
		expect(options).toEqual({
			instance: "fd",
			dataRoot: "/var/lib/foredeck",
			runRoot: "/run/foredeck",
			hosts: ["unix:///run/foredeck.sock"],
			tls: undefined,
			logLevel: "info",
			domain: "fd.local",
			dns: { address: "127.0.0.153", port: 53 },
			defaultAddressPools: [],
			hostGateways: [],
			insecureRegistries: [],
			registryMirrors: [],
			registryCertificates: "/etc/docker/certs.d",
			maxLayerBytes: 64 * 1024 ** 3,
			runtimes: [],
			defaultRuntime: undefined,
		});
		expect(entries.every((entry) => entry.source === "default")).toBe(true);
	});

	test("another instance gets roots and a socket of its own", () => {
		const { options } = resolveConfig(["--instance", "two"], noFile);
		expect(options.dataRoot).toBe("/var/lib/foredeck-two");
		expect(options.runRoot).toBe("/run/foredeck-two");
		expect(options.hosts).toEqual(["unix:///run/foredeck-two.sock"]);
	});

	test("flags win over the file, the file over defaults, and each entry says which", () => {
		const { options, entries } = withFile({ domain: "a.test", "log-level": "warn" }, ["--domain", "b.test"]);
		expect(options.domain).toBe("b.test");
		expect(options.logLevel).toBe("warn");
		const sources = Object.fromEntries(entries.map((entry) => [entry.name, entry.source]));
		expect(sources).toMatchObject({ domain: "flag", "log-level": "file /etc/f.json", dns: "default" });
	});

	test("OCI runtimes come from flags, or in docker's shape from the file", () => {
		const flags = resolveConfig(["--add-runtime", "kata=/usr/bin/kata", "--default-runtime=kata"], noFile).options;
		expect(flags.runtimes).toEqual([{ name: "kata", path: "/usr/bin/kata", args: [] }]);
		expect(flags.defaultRuntime).toBe("kata");
		const runtimes = { crun: { path: "/opt/crun" }, debug: { path: "runc", runtimeArgs: ["--debug"] } };
		const { options, entries } = withFile({ runtimes, "default-runtime": "crun" });
		expect(options.runtimes).toEqual([
			{ name: "crun", path: "/opt/crun", args: [] },
			{ name: "debug", path: "runc", args: ["--debug"] },
		]);
		expect(options.defaultRuntime).toBe("crun");
		expect(entries.find(({ name }) => name === "add-runtime")?.source).toBe("file /etc/f.json");
	});

	test.each([
		[["--add-runtime", "kata"], "must be NAME=PATH"],
		[["--add-runtime", "=/usr/bin/kata"], "must be NAME=PATH"],
		[["--add-runtime", "a b=/usr/bin/kata"], "a name has letters"],
		[["--add-runtime", "kata=bin/kata"], "the path must be absolute"],
		[["--add-runtime", "io.containerd.kata.v2=/usr/bin/kata"], "is reserved"],
		[["--add-runtime", "a=/x", "--add-runtime", "a=/y"], "runtime 'a' was already defined"],
	])("a faulty runtime is refused: %j", (argv, text) => {
		expect(() => resolveConfig(argv, noFile)).toThrow(text);
	});

	test.each([
		[["runc"], '"runtimes" in /etc/f.json'],
		[{ kata: "/usr/bin/kata" }, "kata"],
		[{ kata: {} }, "kata has no path"],
		[{ kata: { runtimeType: "io.containerd.kata.v2" } }, 'kata has the key "runtimeType"'],
		[{ kata: { path: "/x", runtimeArgs: "--debug" } }, "runtimeArgs of kata must be a list of strings"],
		[{ kata: { path: "x/y" } }, "the path must be absolute"],
	])("a faulty runtime of the file is refused: %j", (runtimes, text) => {
		expect(() => withFile({ runtimes })).toThrow(text);
	});

	test("the file's key is runtimes, not the flag's word", () => {
		expect(() => withFile({ "add-runtime": "a=/b" })).toThrow('unknown key "add-runtime"');
	});

	test("repeatable flags add up and replace the file's list", () => {
		const argv = ["--host", "unix:///a.sock", "--host=tcp://127.0.0.1:2375"];
		const { options } = withFile(
			{ host: ["unix:///c.sock"], "insecure-registry": ["r.test:5000", "[::1]:5000"] },
			argv,
		);
		expect(options.hosts).toEqual(["unix:///a.sock", "tcp://127.0.0.1:2375"]);
		expect(options.insecureRegistries).toEqual(["r.test:5000", "[::1]:5000"]);
	});

	test("with all three TLS files tcp may listen beyond loopback; with some of them nothing starts", () => {
		const tls = ["--tlscacert", "/t/ca.pem", "--tlscert", "/t/cert.pem"];
		const { options, entries } = resolveConfig([...tls, "--tlskey", "/t/key.pem", "--host", "tcp://0.0.0.0:2376"]);
		expect(options.tls).toEqual({ ca: "/t/ca.pem", cert: "/t/cert.pem", key: "/t/key.pem" });
		expect(options.hosts).toEqual(["tcp://0.0.0.0:2376"]);
		expect(entries.find(({ name }) => name === "tlskey")).toMatchObject({ value: "/t/key.pem", source: "flag" });
		expect(() => resolveConfig(tls)).toThrow("--tlskey is missing");
		expect(() => withFile({ tlskey: "/t/key.pem" })).toThrow("--tlscacert is missing");
	});

	test("the instance in the file moves the default roots", () => {
		expect(withFile({ instance: "lab" }).options.dataRoot).toBe("/var/lib/foredeck-lab");
	});

	test("a mirror is a bare URL, a size has a unit; anything else is refused by name", () => {
		const argv = ["--registry-mirror", "https://mirror.test/", "--max-layer-size", "512m"];
		const { options } = resolveConfig(argv, noFile);
		expect([options.registryMirrors, options.maxLayerBytes]).toEqual([["https://mirror.test"], 512 * 1024 ** 2]);
		for (const [flag, value] of [
			["registry-mirror", "mirror.test"],
			["registry-mirror", "https://user:secret@mirror.test"],
			["registry-mirror", "https://mirror.test/path"],
			["default-address-pool", "10.10.0.0/16"],
			["host-gateway-ip", "gateway"],
			["default-address-pool", "base=10.10.0.0/16,size=8"],
			["max-layer-size", "0"],
			["max-layer-size", "many"],
			["registry-certs", "relative"],
		] as const) {
			expect(() => resolveConfig([`--${flag}`, value], noFile)).toThrow(`bad --${flag}`);
		}
	});

	test("an IPv6 resolver address is read with its brackets", () => {
		expect(resolveConfig(["--dns", "[::1]:5353"], noFile).options.dns).toEqual({ address: "::1", port: 5353 });
	});

	const wrong: [string, string[], RegExp][] = [
		["an unknown flag", ["--colour", "red"], /unknown flag --colour: allowed are --config --data-root/],
		["a short unknown flag", ["-x"], /unknown flag -x/],
		["a stray argument", ["start"], /unexpected argument "start"/],
		["a flag without value", ["--domain"], /--domain needs a value/],
		["a flag followed by a flag", ["--domain", "--dns", "127.0.0.1:53"], /--domain needs a value/],
		["a long instance", ["--instance", "abcdefghijkl"], /bad --instance "abcdefghijkl": allowed are 1 to 11/],
		["an upper-case instance", ["--instance", "Lab"], /bad --instance "Lab"/],
		["an instance that leaves the directory", ["--instance", "../x"], /bad --instance/],
		["a relative data root", ["--data-root", "data"], /bad --data-root "data": must be an absolute path/],
		["the file system's root", ["--data-root", "/"], /bad --data-root "\/"/],
		["a data root with ..", ["--data-root", "/a/../.."], /bad --data-root/],
		["equal roots", ["--data-root", "/a", "--run-root", "/a/"], /must differ from data-root/],
		["a log level", ["--log-level", "loud"], /allowed are debug, info, warn, error/],
		["a domain", ["--domain", "Fd.local"], /bad --domain/],
		["a resolver without port", ["--dns", "127.0.0.1"], /bad --dns "127.0.0.1": must be ADDR:PORT/],
		["a resolver by name", ["--dns", "localhost:53"], /bad --dns/],
		["port 0", ["--dns", "127.0.0.1:0"], /bad --dns/],
		["tcp on all addresses", ["--host", "tcp://0.0.0.0:2375"], /refused without TLS client certificates/],
		["tcp on a name that only begins as loopback", ["--host", "tcp://127.example.test:1"], /TLS client certificates/],
		["an http host", ["--host", "http://x"], /must be unix/],
		["a socket path too long", ["--host", `unix:///${"a".repeat(107)}`], /107 bytes/],
		["a registry URL", ["--insecure-registry", "http://r.test"], /must be HOST or HOST:PORT/],
	];
	for (const [what, argv, message] of wrong) {
		test(`refuses ${what}`, () => {
			expect(() => resolveConfig(argv, noFile)).toThrow(message);
			expect(() => resolveConfig(argv, noFile)).toThrow(UsageError);
		});
	}

	const wrongFiles: [string, unknown, RegExp][] = [
		["an unknown key", { dataRoot: "/x" }, /unknown key "dataRoot" in \/etc\/f.json: allowed are data-root/],
		["a value of the wrong type", { domain: 5 }, /bad "domain" in \/etc\/f.json: 5 is not a string/],
		["a list where one value is due", { domain: ["a"] }, /is not a string/],
		["an empty list of hosts", { host: [] }, /bad host: the list is empty/],
		["a wrong value", { dns: "x" }, /bad "dns" in \/etc\/f.json "x"/],
		["a list", [], /must be a JSON object/],
		["no JSON", "{", /cannot read config file \/etc\/f.json/],
	];
	for (const [what, content, message] of wrongFiles) {
		test(`refuses a config file with ${what}`, () => {
			expect(() => withFile(content)).toThrow(message);
		});
	}
});
