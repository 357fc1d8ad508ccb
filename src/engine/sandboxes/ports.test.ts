import { expect, test } from "bun:test";
import { EngineError } from "../../shared/errors.ts";
import { type BoundRequest, PortAllocator } from "./ports.ts";

/** A host on which other programs have the ports in `busy`. */
function allocator(busy: readonly number[] = []) {
	const held = new Set<string>();
	const host = {
		portRange: () => ({ first: 100, last: 102 }),
		holdPort: (protocol: string, address: number | bigint, port: number) => {
			if (busy.includes(port)) throw new EngineError("conflict", "address already in use");
			const key = `${protocol} ${typeof address === "bigint" ? `[${address}]` : address} ${port}`;
			held.add(key);
			return { release: () => void held.delete(key) };
		},
	};
	return { ports: new PortAllocator(host), held };
}

const ask = (hostPort: number, more: Partial<BoundRequest> = {}): BoundRequest => ({
	protocol: "tcp",
	containerPort: 80,
	hostIp: "",
	hostIps: ["0.0.0.0"],
	containerIp: "172.17.0.2",
	hostPort,
	...more,
});

test("one address and every address exclude each other, two addresses and two protocols do not", () => {
	const { ports } = allocator();
	ports.allocate([
		ask(80, { hostIps: ["10.0.0.1"] }),
		ask(80, { hostIps: ["10.0.0.2"] }),
		ask(80, { protocol: "udp" }),
	]);
	expect(() => ports.allocate([ask(80)])).toThrow("Bind for 0.0.0.0:80 failed: port is already allocated");
});

test("all or none are taken, and a released port is free", () => {
	const { ports, held } = allocator([81]);
	const text = "failed to bind host port for 0.0.0.0:81:172.17.0.2:80/tcp: address already in use";
	expect(() => ports.allocate([ask(80), ask(81)])).toThrow(text);
	expect(held.size).toBe(0);
	for (const port of ports.allocate([ask(80)])) port.release();
	expect(ports.allocate([ask(80)])).toHaveLength(1);
});

test("a range gives its first free port", () => {
	const { ports } = allocator([80]);
	expect(ports.allocate([ask(80, { hostPortEnd: 82 })])[0]?.hostPort).toBe(81);
	expect(ports.allocate([ask(80, { hostPortEnd: 82 })])[0]?.hostPort).toBe(82);
	for (const port of [80, 81]) expect(ports.adopt({ ...ask(port), hostIp: "0.0.0.0" }, true)).toBeDefined();
	expect(() => ports.allocate([ask(80, { hostPortEnd: 81 })])).toThrow("all ports are allocated");
});

test("port 0 goes round the kernel's range and passes over busy ports", () => {
	const { ports } = allocator([101]);
	expect(ports.allocate([ask(0), ask(0)]).map((port) => port.hostPort)).toEqual([100, 102]);
	expect(() => ports.allocate([ask(0)])).toThrow("all ports are allocated");
});

test("an address that is none is refused by name", () => {
	const { ports } = allocator();
	expect(() => ports.allocate([ask(80, { hostIps: ["nonsense"] })])).toThrow("invalid IP address: nonsense");
});

test("both families have the same port, or neither has", () => {
	const both = { hostIps: ["0.0.0.0", "::"] };
	const { ports, held } = allocator();
	const shown = (request: BoundRequest) =>
		ports.allocate([request]).map(({ hostIp, hostPort }) => `${hostIp} ${hostPort}`);
	expect(shown(ask(100, { hostIps: ["::"] }))).toEqual([":: 100"]);
	expect(shown(ask(0, both))).toEqual(["0.0.0.0 101", ":: 101"]);
	expect(() => ports.allocate([ask(100, both)])).toThrow("Bind for [::]:100 failed: port is already allocated");
	expect([...held]).toEqual(["tcp [0] 100", "tcp 0 101", "tcp [0] 101"]);
	expect(shown(ask(100))).toEqual(["0.0.0.0 100"]);
	expect(() => ports.allocate([ask(100, { hostIps: ["FD00::1"] })])).toThrow("Bind for [fd00::1]:100 failed");
});
