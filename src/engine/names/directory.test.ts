import { expect, test } from "bun:test";
import type { ContainerRecord, ContainerState } from "../containers/record.ts";
import { createNameDirectory } from "./directory.ts";

const running: ContainerState = { status: "running", pid: 1, startedAt: "" };
const exited: ContainerState = { status: "exited", exitCode: 0, oomKilled: false, startedAt: "", finishedAt: "" };

function record(
	name: string,
	idStart: string,
	ipAddress: string | undefined,
	state: ContainerState = running,
): ContainerRecord {
	const endpoint = { networkName: "bridge", networkId: "n", endpointId: "e", ...(ipAddress ? { ipAddress } : {}) };
	const partial: Partial<ContainerRecord> = {
		id: idStart.padEnd(64, "0"),
		name,
		state,
		network: { sandboxId: "s", endpoints: [endpoint], ports: [] },
	};
	return partial as ContainerRecord;
}

function directoryOf(containers: ContainerRecord[], revision = () => 1) {
	return createNameDirectory({ containers: () => containers, revision, domain: "fd.local" });
}

test("knows running and paused containers by lower-case name and short id, from sandbox and host", () => {
	const directory = directoryOf([
		record("Web", "abc", "10.0.0.2"),
		record("db", "def", "10.0.0.3", { ...running, status: "paused" }),
	]);
	expect(directory.fromHost("web")).toEqual(["10.0.0.2"]);
	expect(directory.fromSandbox("any", "abc000000000")).toEqual(["10.0.0.2"]);
	expect(directory.fromHost("db")).toEqual(["10.0.0.3"]);
	expect(directory.nameOf("10.0.0.2")).toBe("web.fd.local");
});

test("stopped containers have no name; one without address is known with none", () => {
	const directory = directoryOf([record("gone", "a1", "10.0.0.2", exited), record("host", "b1", undefined)]);
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
	const directory = directoryOf(containers, () => revision);
	expect(directory.fromHost("two")).toBeUndefined();
	containers.push(record("two", "b", "10.0.0.3"));
	expect(directory.fromHost("two")).toBeUndefined();
	revision = 2;
	expect(directory.fromHost("two")).toEqual(["10.0.0.3"]);
});

test("a renamed container is known by its new name alone, in both directions", () => {
	let containers = [record("old", "abc", "10.0.0.2")];
	let revision = 1;
	const directory = createNameDirectory({
		containers: () => containers,
		revision: () => revision,
		domain: "fd.local",
	});
	expect(directory.nameOf("10.0.0.2")).toBe("old.fd.local");
	containers = [record("new", "abc", "10.0.0.2")];
	revision++;
	expect([directory.fromHost("old"), directory.fromSandbox("any", "old")]).toEqual([undefined, undefined]);
	expect([directory.fromHost("new"), directory.fromSandbox("any", "new")]).toEqual([["10.0.0.2"], ["10.0.0.2"]]);
	expect(directory.nameOf("10.0.0.2")).toBe("new.fd.local");
});
