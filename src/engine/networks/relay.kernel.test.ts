import { afterAll, afterEach, beforeAll, expect, test } from "bun:test";
import { connect } from "node:net";
import { parseIpv6 } from "../../shared/ip.ts";
import { addAddress6 } from "../../sys/linux/address.ts";
import { findLink } from "../../sys/linux/link.ts";
import { RouteSocket } from "../../sys/linux/netlink.ts";
import { withNetns } from "../../sys/linux/netns.ts";
import { ask, HOST, serveTcp } from "../../sys/linux/testing/outside-host.ts";
import { portOf, TestNetworks } from "../../testing/network-host.ts";

/** Host and `outside` have IPv6, the containers have not. */
const HOST6 = "2001:db8:1::1";
const OUTSIDE6 = "2001:db8:1::2";
let lab: TestNetworks;

beforeAll(async () => {
	lab = new TestNetworks({ instance: "tr" });
	addWire("wire", HOST6);
	withNetns(lab.outside, () => addWire("eth0", OUTSIDE6));
	await lab.start();
});

afterAll(() => lab.end());

afterEach(() => lab.clear());

test("a port of a container without IPv6 is reached by IPv6 from outside, from the host and at ::1, as docker has it", async () => {
	const web = await lab.on("web", "bridge", {}, [portOf(80, 8080)]);
	using _ = serveTcp(web.path, 80, "web");
	expect(web.settings.ports.map(({ hostIp, hostPort }) => `${hostIp} ${hostPort}`)).toEqual([
		"0.0.0.0 8080",
		":: 8080",
	]);
	for (const from of [lab.outside, undefined]) expect(await ask(from, HOST6, 8080)).toBe("web;172.17.0.1");
	expect(await ask(undefined, "::1", 8080)).toBe("web;172.17.0.1");
	expect(await ask(lab.outside, HOST, 8080)).toStartWith("web;198.51.100.2");
	await lab.sandboxes.leave("web");
	expect(await ask(lab.outside, HOST6, 8080)).toBe("closed");
});

test("the same of a routed network, whose container is reached by IPv4 at its own address", async () => {
	await lab.create("routed", { options: { "com.docker.network.bridge.gateway_mode_ipv4": "routed" } });
	const ports = [
		portOf(80, 8090),
		{ ...portOf(80, 8091), hostIp: "::1" },
		{ ...portOf(80, 8092), hostIp: "127.0.0.1" },
	];
	const web = await lab.on("web", "routed", {}, ports);
	using _ = serveTcp(web.path, 80, "web");
	expect(web.settings.ports.map(({ hostIp, hostPort }) => `${hostIp} ${hostPort}`)).toEqual([
		...["0.0.0.0 0", "0.0.0.0 0", ":: 8090", "::1 8091"],
	]);
	expect(await ask(lab.outside, HOST6, 8090)).toStartWith("web;");
	expect(await ask(undefined, "::1", 8091)).toStartWith("web;");
	expect(await ask(lab.outside, HOST, 8090)).toBe("closed");
	await lab.start([{ containerId: "web", settings: web.settings }]);
	expect(await ask(lab.outside, HOST6, 8090)).toStartWith("web;");
});

test("one address is one address, and what others listen at is said in docker's words, with nothing left", async () => {
	const at = (hostIp: string, hostPort: number) => ({ ...portOf(80, hostPort), hostIp });
	const web = await lab.on("web", "bridge", {}, [at("::1", 8081), at(HOST6, 8082)]);
	using _ = serveTcp(web.path, 80, "web");
	expect(await ask(undefined, "::1", 8081)).toStartWith("web;");
	expect(await ask(undefined, HOST6, 8081)).toBe("closed");
	expect(await ask(lab.outside, HOST6, 8082)).toStartWith("web;");
	expect(await ask(undefined, "::1", 8082)).toBe("closed");
	const options = { hostname: "::", port: 8083, ipv6Only: true, socket: { data() {} } };
	const other = Bun.listen(options);
	try {
		const failed = lab.on("next", "bridge", {}, [portOf(80, 8083)]);
		await expect(failed).rejects.toThrow("failed to bind host port for [::]:8083:172.17.0.");
	} finally {
		other.stop(true);
	}
	await lab.on("next", "bridge", {}, [portOf(80, 8083)]);
});

test("containers cannot come by it past what keeps them apart", async () => {
	await lab.create("inner", { internal: true, enableIpv6: true });
	await lab.create("six", { enableIpv6: true });
	const web = await lab.on("web", "bridge", {}, [portOf(80, 8084), { ...portOf(80, 8085), hostIp: HOST6 }]);
	using _ = serveTcp(web.path, 80, "web");
	const [inner, six] = [await lab.on("inner", "inner"), await lab.on("six", "six")];
	const gateway6 = ({ settings }: typeof six) => settings.endpoints[0]?.ipv6Gateway ?? "";
	expect(await ask(six.path, gateway6(six), 8084)).toBe("closed");
	for (const hostPort of [8084, 8085]) expect(await ask(six.path, HOST6, hostPort)).toBe("closed");
	const address = inner.address6.replace(/::.*$/, "::1");
	expect(await ask(inner.path, address, 8084)).toBe("closed");
	expect(await ask(lab.outside, HOST6, 8085)).toStartWith("web;");
});

test("each side's end is passed on alone, and what is big and slow is carried whole", async () => {
	const web = await lab.on("web", "bridge", {}, [portOf(80, 8086)]);
	const size = 32 << 20;
	// Says how much has come only when the client has ended.
	const counts = new WeakMap<object, number>();
	const count = withNetns(web.path, () =>
		Bun.listen({
			hostname: "0.0.0.0",
			port: 80,
			allowHalfOpen: true,
			socket: {
				data: (socket, bytes) => void counts.set(socket, (counts.get(socket) ?? 0) + bytes.length),
				end: (socket) => void socket.end(`had ${counts.get(socket)}`),
			},
		}),
	);
	try {
		const client = withNetns(lab.outside, () => connect({ host: HOST6, port: 8086, allowHalfOpen: true }));
		const heard = new Promise<string>((resolve, reject) => {
			let text = "";
			client
				.on("data", (bytes) => {
					text += bytes;
				})
				.on("end", () => resolve(text))
				.on("error", reject);
		});
		client.end(Buffer.alloc(size));
		expect(await heard).toBe(`had ${size}`);
	} finally {
		count.stop(true);
	}
});

test("SCTP is the kernel's alone: translated where it knows it, refused with its reason where it does not", async () => {
	const sctp = { ...portOf(80, 8090), protocol: "sctp" as const };
	const made = await lab.on("web", "bridge", {}, [sctp]).catch((error: Error) => error);
	if (made instanceof Error) {
		expect(made.message).toContain("failed to bind host port for 0.0.0.0:8090:");
		expect(made.message).toEndWith("80/sctp: protocol not supported");
	} else {
		expect(made.settings.ports).toEqual([{ protocol: "sctp", containerPort: 80, hostIp: "0.0.0.0", hostPort: 8090 }]);
	}
});

test("datagrams find their way and back, each client's answers to it", async () => {
	const web = await lab.on("web", "bridge", {}, [{ ...portOf(53, 8087), protocol: "udp" }]);
	const echo = await withNetns(web.path, () =>
		Bun.udpSocket({
			hostname: "0.0.0.0",
			port: 53,
			socket: { data: (socket, bytes, port, address) => void socket.send(`${bytes} back`, port, address) },
		}),
	);
	try {
		const asked = ["one", "two", "three"].map((text) => askUdp6(lab.outside, HOST6, 8087, text));
		expect(await Promise.all(asked)).toEqual(["one back", "two back", "three back"]);
		expect(await askUdp6(undefined, "::1", 8087, "here")).toBe("here back");
	} finally {
		echo.close();
	}
});

test("connections and the port live over a crash and restart of the engine; the next one knows what is gone", async () => {
	const at = (hostPort: number) => ({ ...portOf(80, hostPort), hostIp: HOST6 });
	const [web, gone] = [await lab.on("web", "bridge", {}, [at(8088)]), await lab.on("gone", "bridge", {}, [at(8089)])];
	using _gone = serveTcp(gone.path, 80, "gone");
	const echo = withNetns(web.path, () =>
		Bun.listen({ hostname: "0.0.0.0", port: 80, socket: { data: (socket, bytes) => void socket.write(bytes) } }),
	);
	const heard: string[] = [];
	const client = await withNetns(lab.outside, () =>
		Bun.connect({ hostname: HOST6, port: 8088, socket: { data: (_, bytes) => void heard.push(bytes.toString()) } }),
	);
	try {
		client.write("before");
		await Bun.sleep(100);
		lab.joined.delete("gone");
		await lab.start([{ containerId: "web", settings: web.settings }]);
		client.write("after");
		await Bun.sleep(100);
		expect(heard).toEqual(["before", "after"]);
		expect(await ask(lab.outside, HOST6, 8089)).toBe("closed");
		await expect(lab.on("next", "bridge", {}, [at(8088)])).rejects.toThrow("port is already allocated");
		await lab.sandboxes.leave("web");
		lab.joined.delete("web");
		// What is left of the connection does not keep the port.
		await lab.on("next", "bridge", {}, [at(8088)]);
	} finally {
		client.end();
		echo.stop(true);
	}
});

function addWire(name: string, address: string): void {
	using socket = new RouteSocket();
	socket.request(addAddress6(findLink(socket, name)?.index ?? 0, parseIpv6(address) ?? 0n, 64));
}

async function askUdp6(path: string | undefined, hostname: string, port: number, text: string): Promise<string> {
	const { promise, resolve } = Promise.withResolvers<string>();
	const open = () => Bun.udpSocket({ hostname: "::", socket: { data: (_, bytes) => resolve(bytes.toString()) } });
	const socket = await (path ? withNetns(path, open) : open());
	socket.send(text, port, hostname);
	const timer = setTimeout(() => resolve("closed"), 1000);
	const answer = await promise;
	clearTimeout(timer);
	socket.close();
	return answer;
}
