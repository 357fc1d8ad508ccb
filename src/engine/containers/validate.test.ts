import { expect, test } from "bun:test";
import { ALL_CAPABILITIES, availableNames, capabilitiesOf, DEFAULT_CAPABILITIES } from "./capabilities.ts";
import type { ContainerConfig, HostConfig } from "./config.ts";
import { mergeEnv, processEnv } from "./env.ts";
import { hostsFile, resolvConf } from "./files.ts";
import { mountsAsked } from "./mounts/points.ts";
import { checkName, generateName } from "./names.ts";
import { portsAsked } from "./ports.ts";
import type { EndpointSettings } from "./record.ts";
import { containerConfig, containerRecord, hostConfig } from "./testing/fakes.ts";
import { validate } from "./validate.ts";

const check = (host: Partial<HostConfig>, config: Partial<ContainerConfig> = {}) =>
	validate(containerConfig(config), hostConfig(host));

test.each<[string, Partial<HostConfig>]>([
	["Minimum memory limit allowed is 6MB", { Memory: 1 }],
	["Minimum memoryswap limit should be larger than memory limit", { Memory: 64 << 20, MemorySwap: 32 << 20 }],
	["range of CPUs is from 0.01 to", { NanoCpus: 9e15 }],
	["Conflicting options: Nano CPUs and CPU Period", { NanoCpus: 1e9, CpuPeriod: 1000 }],
	[
		"ulimit soft limit must be less than or equal to hard limit: 2 > 1",
		{ Ulimits: [{ Name: "nofile", Soft: 2, Hard: 1 }] },
	],
	["invalid ulimit type: x", { Ulimits: [{ Name: "x", Soft: 1, Hard: 1 }] }],
	["range for oom score adj is [-1000, 1000]", { OomScoreAdj: 1001 }],
	['unknown capability: "CAP_NOPE"', { CapAdd: ["NOPE"] }],
	["Duplicate mount point: /x", { Binds: ["/a:/x", "/b:/x/"] }],
	[
		'invalid mount config for type "bind": bind source path does not exist: /no/such',
		{ Mounts: [{ Type: "bind", Source: "/no/such", Target: "/x" }] },
	],
	["invalid mode: rx", { Binds: ["/a:/x:rx"] }],
	["invalid mode: ro,rw", { Binds: ["/a:/x:ro,rw"] }],
	["invalid mode: rshared,rslave", { Binds: ["/a:/x:rshared,rslave"] }],
	["field VolumeOptions must not be specified", { Binds: ["/a:/x:nocopy"] }],
	['create a/b: "a/b" includes invalid characters for a local volume name', { Binds: ["a/b:/x"] }],
	["invalid CPU shares (-1): value must be a positive integer", { CpuShares: -1 }],
	["Requested CPUs are not available - requested 0,9999", { CpusetCpus: "0,9999" }],
	["Invalid value 0- for cpuset cpus: invalid format: 0-", { CpusetCpus: "0-" }],
	['invalid IP address in add-host: "b"', { ExtraHosts: ["a:b"] }],
	['invalid --security-opt 1: "x"', { SecurityOpt: ["x"] }],
	["destination can't be '/'", { Binds: ["/a:/"] }],
	["mount path must be absolute", { Binds: ["/a:x"] }],
	["invalid tmpfs option", { Tmpfs: { "/t": "sze=1" } }],
	[
		"can't create 'AutoRemove' container with restart policy",
		{ AutoRemove: true, RestartPolicy: { Name: "always", MaximumRetryCount: 0 } },
	],
	["invalid --security-opt", { SecurityOpt: ["nope=1"] }],
	["opening seccomp profile failed", { SecurityOpt: ["seccomp=/file"] }],
	["not allowed in host network namespace", { NetworkMode: "host", Sysctls: { "net.ipv4.ip_forward": "1" } }],
	["is not in a separate kernel namespace", { Sysctls: { "kernel.panic": "1" } }],
	["invalid IP address: x", { Dns: ["x"] }],
	["invalid DnsSearch", { DnsSearch: ["a\nnameserver 1.1.1.1"] }],
	['bad format for add-host: "x"', { ExtraHosts: ["x"] }],
	['bad format for add-host: "x=1.2.3.4"', { ExtraHosts: ["x=1.2.3.4"] }],
	['invalid --security-opt 2: "writable-cgroups=maybe"', { SecurityOpt: ["writable-cgroups=maybe"] }],
	["Invalid value 1-0 for cpuset cpus", { CpusetCpus: "1-0" }],
	["invalid port specification", { PortBindings: { "0/tcp": [] } }],
	["invalid port specification", { PortBindings: { "80/tcp": [{ HostIp: "", HostPort: "9-2" }] } }],
	["unknown log opt 'label'", { LogConfig: { Type: "json-file", Config: { label: "x" } } }],
])("create refuses: %s", (message, host) => {
	expect(() => check(host)).toThrow(message);
});

test("create takes what is right", () => {
	check({
		Memory: 64 << 20,
		MemorySwap: -1,
		Binds: ["/tmp:/a:ro,z,rslave,cached", "/tmp:/b", "/tmp:/c:"],
		Tmpfs: { "/t": "size=1m,mode=1777" },
		SecurityOpt: [
			"label=level:s0",
			"writable-cgroups=true",
			"apparmor=",
			"seccomp=unconfined",
			"no-new-privileges:true",
		],
		Sysctls: { "net.ipv4.ip_forward": "1", "fs.mqueue.msg_max": "9" },
		ExtraHosts: ["a:host-gateway", "b:::1"],
		PortBindings: { "80/tcp": [{ HostIp: "127.0.0.1", HostPort: "80-90" }], "53/udp": null },
		LogConfig: { Type: "json-file", Config: { "max-size": "10m", "max-file": "3" } },
	});
});

test.each<[string, Partial<ContainerConfig>]>([
	["the working directory 'x' is invalid, it needs to be an absolute path", { WorkingDir: "x" }],
	["invalid environment variable: =x", { Env: ["=x"] }],
	["invalid signal: NOPE", { StopSignal: "NOPE" }],
	["invalid hostname format: a\nb", { Hostname: "a\nb" }],
	["invalid hostname format: aaaa", { Hostname: "a".repeat(65) }],
])("create refuses: %s ", (message, config) => {
	expect(() => check({}, config)).toThrow(message);
});

test("a bind is parsed with its options; --mount binds need their source, -v makes it", () => {
	const [bind, mount] = mountsAsked({
		Binds: ["/src/:/dst/:ro,rshared"],
		Mounts: [{ Type: "bind", Source: "/s", Target: "/t", ReadOnly: true, BindOptions: { NonRecursive: true } }],
	});
	expect(bind).toMatchObject({ target: "/dst", readonly: true, propagation: "rshared", createSource: true });
	expect(mount).toMatchObject({ target: "/t", readonly: true, nonRecursive: true, createSource: false });
});

test("capabilities: names in any case, ALL in both lists, what the engine lacks is refused", () => {
	const of = (CapAdd: string[], CapDrop: string[]) => capabilitiesOf({ CapAdd, CapDrop, Privileged: false });
	expect(of(["net_admin"], [])).toEqual([...DEFAULT_CAPABILITIES, "CAP_NET_ADMIN"]);
	expect(of(["CAP_CHOWN"], ["ALL"])).toEqual(["CAP_CHOWN"]);
	expect(of(["ALL"], ["chown"])).toEqual(ALL_CAPABILITIES.filter((name) => name !== "CAP_CHOWN"));
	const asked = { CapAdd: ["CHOWN"], CapDrop: null, Privileged: false };
	expect(() => capabilitiesOf(asked, availableNames([1, 2]))).toThrow("not available in the current environment");
	expect(capabilitiesOf({ ...asked, CapAdd: null, Privileged: true }, availableNames([0, 5]))).toEqual([
		"CAP_CHOWN",
		"CAP_KILL",
	]);
});

test("environment: keys of the client win, one without a value unsets a default", () => {
	expect(mergeEnv(["A=1", "B=1"], ["B=2"])).toEqual(["B=2", "A=1"]);
	const env = processEnv(["PATH=/x", "HOSTNAME", "HOME=/h"], { hostname: "h", home: "/root", tty: false });
	expect(env).toEqual(["PATH=/x", "HOME=/h"]);
});

test("ports: published ones, and with -P the exposed rest", () => {
	const config = containerConfig({ ExposedPorts: { "80/tcp": {}, "53/udp": {} } });
	const PortBindings = { "80/tcp": [{ HostIp: "127.0.0.1", HostPort: "8000-8010" }] };
	expect(portsAsked(config, hostConfig({ PortBindings, PublishAllPorts: true }))).toEqual([
		{ protocol: "tcp", containerPort: 80, hostIp: "127.0.0.1", hostPort: 8000, hostPortEnd: 8010 },
		{ protocol: "udp", containerPort: 53, hostIp: "", hostPort: 0 },
	]);
});

test("names: made up ones avoid what is taken", () => {
	const taken = { byName: (name: string) => (name === "able_acorn" ? containerRecord() : undefined) };
	const context = { store: taken as never, reserved: new Map([["held", "id9"]]) };
	const draws = [0, 0, 0.99, 0];
	expect(generateName(context, () => draws.shift() ?? 0)).toBe("zesty_acorn");
	expect(() => checkName(context, "held")).toThrow('already in use by container "id9"');
});

test("resolv.conf: the engine's resolver on the bridge, the host's in host mode, none in none", () => {
	const of = (host: Partial<HostConfig>) =>
		resolvConf(containerRecord({ hostConfig: hostConfig(host) }), () => "nameserver 9.9.9.9\nsearch corp.example\n");
	expect(of({})).toBe("nameserver 127.0.0.11\nsearch corp.example\noptions ndots:0\n");
	expect(of({ NetworkMode: "host" })).toBe("nameserver 9.9.9.9\nsearch corp.example\n");
	expect(of({ NetworkMode: "none" })).toBe("");
	expect(of({ Dns: ["1.1.1.1"], DnsSearch: ["."], DnsOptions: ["ndots:2"] })).toBe(
		"nameserver 1.1.1.1\noptions ndots:2\n",
	);
});

test("host-gateway is the same for all containers, but for those that have IPv6 alone", () => {
	const record = containerRecord({ hostConfig: hostConfig({ NetworkMode: "blue", ExtraHosts: ["x:host-gateway"] }) });
	const lines = (endpoint: Partial<EndpointSettings>, gateways: readonly string[]) => {
		const endpoints = [{ networkName: "blue", networkId: "n", endpointId: "e", ...endpoint }];
		const text = hostsFile(record, { sandboxId: "", endpoints, ports: [] }, () => "", [], gateways);
		return text.split("\n").filter((line) => line.endsWith("\tx"));
	};
	const four = { ipAddress: "10.0.0.2", gateway: "10.0.0.1" };
	const six = { ipv6Address: "fd00::2", ipv6Gateway: "fd00::1" };
	expect(lines(four, ["172.17.0.1"])).toEqual(["172.17.0.1\tx"]);
	expect(lines({ ...four, ...six }, ["172.17.0.1"])).toEqual(["172.17.0.1\tx"]);
	expect(lines(six, ["172.17.0.1"])).toEqual(["fd00::1\tx"]);
	expect(lines({}, ["192.0.2.1", "2001:db8::1"])).toEqual(["192.0.2.1\tx", "2001:db8::1\tx"]);
	expect(() => lines({}, [])).toThrow("unable to derive the IP value for host-gateway");
});
