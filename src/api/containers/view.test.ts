import { expect, test } from "bun:test";
import { fakeRecord } from "../testing/fakes.ts";
import { networkSettingsView, portList, summaryView } from "./view.ts";

const RUNNING = { status: "running", pid: 7, startedAt: "2026-01-01T00:00:00Z" } as const;

test("a port exposed without a protocol is one of tcp, and published it is there once", () => {
	const record = fakeRecord("web", RUNNING, { ExposedPorts: { "80": {}, "53/udp": {}, "90/tcp": {} } });
	const published = { hostIp: "0.0.0.0", hostPort: 8080, containerPort: 80, protocol: "tcp" as const };
	const network = { sandboxId: "s", endpoints: [], ports: [published] };
	expect(networkSettingsView({ ...record, network }).Ports).toEqual({
		"80/tcp": [{ HostIp: "0.0.0.0", HostPort: "8080" }],
		"53/udp": null,
		"90/tcp": null,
	});
	expect(portList({ ...record, network }).map(({ PrivatePort, Type }) => `${PrivatePort}/${Type}`)).toEqual([
		"80/tcp",
		"53/udp",
		"90/tcp",
	]);
});

test("a list tells where a container is in its networks, not by which names", () => {
	const record = fakeRecord("web", RUNNING);
	const networks = [{ networkName: "net", aliases: ["alias"], links: ["db:d"], driverOpts: { a: "b" } }];
	const endpoint = { networkName: "net", networkId: "n", endpointId: "e", ipAddress: "10.0.0.2", prefixLength: 24 };
	const network = { sandboxId: "s", endpoints: [endpoint], ports: [] };
	const { NetworkSettings } = summaryView({ ...record, networks, network }, Date.now(), "busybox");
	expect(NetworkSettings.Networks.net).toMatchObject({
		IPAddress: "10.0.0.2",
		EndpointID: "e",
		Aliases: null,
		DNSNames: null,
		Links: null,
		DriverOpts: null,
	});
});
