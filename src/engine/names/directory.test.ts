import { expect, test } from "bun:test";
import type { ContainerRecord, ContainerState, EndpointConfig } from "../containers/record.ts";
import { createNameDirectory, type NameDirectoryOptions, type SandboxNetwork } from "./directory.ts";

const running: ContainerState = { status: "running", pid: 1, startedAt: "" };
const exited: ContainerState = { status: "exited", exitCode: 0, oomKilled: false, startedAt: "", finishedAt: "" };
const BRIDGE: SandboxNetwork = { id: "n", name: "bridge", internal: false };
const BACK: SandboxNetwork = { id: "m", name: "Back", internal: true };

interface More {
	readonly state?: ContainerState;
	readonly labels?: Record<string, string>;
	/** Network id to address. */
	readonly on?: Record<string, string>;
	readonly networks?: readonly EndpointConfig[];
}

function record(name: string, idStart: string, ipAddress: string | undefined, more: More = {}): ContainerRecord {
	const { state = running, labels = {}, on = { n: ipAddress ?? "" }, networks } = more;
	const endpoints = Object.entries(on).map(([networkId, address]) => ({
		networkName: networkId === "n" ? "bridge" : "Back",
		networkId,
		endpointId: "e",
		...(address ? { ipAddress: address } : {}),
	}));
	const partial: Partial<ContainerRecord> = {
		id: idStart.padEnd(64, "0"),
		name,
		state,
		config: { Hostname: "", Labels: labels } as ContainerRecord["config"],
		network: { sandboxId: "s", endpoints, ports: [] },
		...(networks && { networks }),
	};
	return partial as ContainerRecord;
}

function directoryOf(containers: ContainerRecord[], more: Partial<NameDirectoryOptions> = {}) {
	return createNameDirectory({
		containers: () => containers,
		revision: () => 1,
		domain: "fd.local",
		networksOf: () => [BRIDGE],
		...more,
	});
}

test("knows running and paused containers by lower-case name and short id, from sandbox and host", () => {
	const directory = directoryOf([
		record("Web", "abc", "10.0.0.2"),
		record("db", "def", "10.0.0.3", { state: { ...running, status: "paused" } }),
	]);
	expect(directory.fromHost("web")).toEqual(["10.0.0.2"]);
	expect(directory.fromSandbox("any", "abc000000000")).toEqual(["10.0.0.2"]);
	expect(directory.fromHost("db")).toEqual(["10.0.0.3"]);
	expect(directory.nameOf("10.0.0.2")).toBe("web.fd.local");
});

test("stopped containers have no name; one without address is known with none", () => {
	const gone = record("gone", "a1", "10.0.0.2", { state: exited });
	const directory = directoryOf([gone, record("host", "b1", undefined)]);
	expect(directory.fromHost("gone")).toBeUndefined();
	expect(directory.nameOf("10.0.0.2")).toBeUndefined();
	expect(directory.fromHost("host")).toEqual([]);
});

test("a name wins over another container's short id", () => {
	const directory = directoryOf([record("first", "abc", "10.0.0.2"), record("abc000000000", "def", "10.0.0.3")]);
	expect(directory.fromHost("abc000000000")).toEqual(["10.0.0.3"]);
});

test("rebuilds when the revision changes, and only then", () => {
	const containers = [record("one", "a", "10.0.0.2")];
	let revision = 1;
	const directory = directoryOf(containers, { revision: () => revision });
	expect(directory.fromHost("two")).toBeUndefined();
	containers.push(record("two", "b", "10.0.0.3"));
	expect(directory.fromHost("two")).toBeUndefined();
	revision = 2;
	expect(directory.fromHost("two")).toEqual(["10.0.0.3"]);
});

test("a renamed container is known by its new name alone, in both directions", () => {
	let containers = [record("old", "abc", "10.0.0.2")];
	let revision = 1;
	const directory = directoryOf([], { containers: () => containers, revision: () => revision });
	expect(directory.nameOf("10.0.0.2")).toBe("old.fd.local");
	containers = [record("new", "abc", "10.0.0.2")];
	revision++;
	expect([directory.fromHost("old"), directory.fromSandbox("any", "old")]).toEqual([undefined, undefined]);
	expect([directory.fromHost("new"), directory.fromSandbox("any", "new")]).toEqual([["10.0.0.2"], ["10.0.0.2"]]);
	expect(directory.nameOf("10.0.0.2")).toBe("new.fd.local");
});

test("a sandbox knows names, aliases and addresses of its own networks alone", () => {
	const api = record("api", "abc", undefined, {
		on: { n: "10.0.0.2", m: "10.1.0.2" },
		networks: [{ networkName: "bridge" }, { networkName: "Back", aliases: ["Backend"] }],
	});
	const db = record("db", "def", undefined, { on: { m: "10.1.0.3" } });
	const networks: Record<string, SandboxNetwork[]> = { front: [BRIDGE], back: [BACK], both: [BRIDGE, BACK] };
	const directory = directoryOf([api, db], { networksOf: (id) => networks[id] ?? [] });
	const seen = (name: string) => Object.keys(networks).map((id) => directory.fromSandbox(id, name));
	expect(seen("api")).toEqual([["10.0.0.2"], ["10.1.0.2"], ["10.0.0.2"]]);
	expect(seen("backend")).toEqual([undefined, ["10.1.0.2"], ["10.1.0.2"]]);
	expect(seen("db")).toEqual([undefined, ["10.1.0.3"], ["10.1.0.3"]]);
	expect(seen("db.back")).toEqual([undefined, ["10.1.0.3"], ["10.1.0.3"]]);
	expect(["front", "back"].map((id) => directory.nameOf("10.1.0.3", id))).toEqual([undefined, "db.fd.local"]);
	expect(["front", "back", "both"].map(directory.mayAskOutside)).toEqual([true, false, true]);
});

test("on an outbound network no other container has a name, nor has the host any to tell", () => {
	const [web, other] = [record("web", "abc", "10.0.0.2"), record("other", "def", "10.0.0.3")];
	const OUT: SandboxNetwork = { ...BRIDGE, alone: true };
	const networks: Record<string, SandboxNetwork[]> = { out: [OUT], both: [OUT, BRIDGE] };
	const directory = directoryOf([web, other], { networksOf: (id) => networks[id] ?? [] });
	expect(["out", "both"].map((id) => directory.fromSandbox(id, "web"))).toEqual([undefined, ["10.0.0.2"]]);
	expect(["out", "both"].map((id) => directory.nameOf("10.0.0.3", id))).toEqual([undefined, "other.fd.local"]);
	expect(["out", "both"].map(directory.mayAskHost)).toEqual([false, true]);
	expect(directory.mayAskOutside("out")).toBe(true);
});

test("containers that share an alias are all in the answer, and a link is an alias for one container alone", () => {
	const networks = [{ networkName: "bridge", aliases: ["app"], links: ["two:peer"] }];
	const one = record("one", "a", "10.0.0.2", { networks });
	const two = record("two", "b", "10.0.0.3", { networks: [{ networkName: "bridge", aliases: ["app"] }] });
	const directory = directoryOf([one, two]);
	expect(directory.fromSandbox(one.id, "app")).toEqual(["10.0.0.2", "10.0.0.3"]);
	expect(directory.fromSandbox(one.id, "peer")).toEqual(["10.0.0.3"]);
	expect(directory.fromSandbox(two.id, "peer")).toBeUndefined();
	// It asks as the first thing it does, when nobody has noted yet that it runs.
	const starting = { ...one, state: { status: "created" as const } };
	expect(directoryOf([starting, two]).fromSandbox(one.id, "peer")).toEqual(["10.0.0.3"]);
});

test("a link means the other container's address on the network that it was asked for on", () => {
	const networks = [{ networkName: "bridge" }, { networkName: "Back", links: ["two:peer"] }];
	const one = record("one", "a", "", { on: { n: "10.0.0.2", m: "10.1.0.2" }, networks });
	const two = record("two", "b", "", { on: { n: "10.0.0.3", m: "10.1.0.3" }, networks: [] });
	const directory = directoryOf([one, two], { networksOf: () => [BRIDGE, BACK] });
	expect(directory.fromSandbox(one.id, "peer")).toEqual(["10.1.0.3"]);
	expect(directory.fromSandbox(one.id, "two")).toEqual(["10.0.0.3"]);
});

test("compose's services are known to the host by service and project", () => {
	const labels = { "com.docker.compose.project": "Shop", "com.docker.compose.service": "web" };
	const directory = directoryOf([
		record("shop-web-1", "a", "10.0.0.2", { labels }),
		record("shop-web-2", "b", "10.0.0.3", { labels }),
	]);
	expect(directory.fromHost("web.shop")).toEqual(["10.0.0.2", "10.0.0.3"]);
	expect(directory.fromHost("shop-web-1")).toEqual(["10.0.0.2"]);
});

test("a container with both families has both under its name, each leads back to it, and one with IPv6 alone has that", () => {
	const both = {
		networkName: "bridge",
		networkId: "n",
		endpointId: "e",
		ipAddress: "10.0.0.2",
		ipv6Address: "fd00::2",
	};
	const six = { networkName: "bridge", networkId: "n", endpointId: "f", ipv6Address: "fd00::3" };
	const on = (one: ContainerRecord, endpoint: typeof both | typeof six): ContainerRecord => ({
		...one,
		network: { sandboxId: "s", endpoints: [endpoint], ports: [] },
	});
	const directory = directoryOf([on(record("web", "abc", undefined), both), on(record("six", "def", undefined), six)]);
	expect(directory.fromHost("web")).toEqual(["10.0.0.2", "fd00::2"]);
	expect(directory.fromSandbox("any", "web")).toEqual(["10.0.0.2", "fd00::2"]);
	expect(directory.fromHost("six")).toEqual(["fd00::3"]);
	expect(["10.0.0.2", "fd00::2", "fd00::3"].map((address) => directory.nameOf(address))).toEqual([
		"web.fd.local",
		"web.fd.local",
		"six.fd.local",
	]);
});
