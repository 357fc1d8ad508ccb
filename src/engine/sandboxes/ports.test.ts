import { expect, test } from "bun:test";
import { EngineError } from "../../shared/errors.ts";
import type { PortRequest } from "./contract.ts";
import { PortAllocator } from "./ports.ts";

/** A host on which other programs have the ports in `busy`. */
function allocator(busy: readonly number[] = []) {
	const held = new Set<string>();
	const host = {
		portRange: () => ({ first: 100, last: 102 }),
		holdPort: (protocol: string, address: number, port: number) => {
			if (busy.includes(port)) throw new EngineError("conflict", "address already in use");
			const key = `${protocol} ${address} ${port}`;
			held.add(key);
			return { release: () => void held.delete(key) };
		},
	};
	return { ports: new PortAllocator(host), held };
}

const ask = (hostPort: number, more: Partial<PortRequest> = {}): PortRequest => ({
	protocol: "tcp",
	containerPort: 80,
	hostIp: "",
	hostPort,
	...more,
});

test("one address and every address exclude each other, two addresses and two protocols do not", () => {
	const { ports } = allocator();
	ports.allocate([ask(80, { hostIp: "10.0.0.1" }), ask(80, { hostIp: "10.0.0.2" }), ask(80, { protocol: "udp" })], "c");
	expect(() => ports.allocate([ask(80)], "c")).toThrow("Bind for 0.0.0.0:80 failed: port is already allocated");
});

test("all or none are taken, and a released port is free", () => {
	const { ports, held } = allocator([81]);
	const text = "failed to bind host port for 0.0.0.0:81:172.17.0.2:80/tcp: address already in use";
	expect(() => ports.allocate([ask(80), ask(81)], "172.17.0.2")).toThrow(text);
	expect(held.size).toBe(0);
	for (const port of ports.allocate([ask(80)], "c")) port.release();
	expect(ports.allocate([ask(80)], "c")).toHaveLength(1);
});

test("a range gives its first free port", () => {
	const { ports } = allocator([80]);
	expect(ports.allocate([ask(80, { hostPortEnd: 82 })], "c")[0]?.hostPort).toBe(81);
	expect(ports.allocate([ask(80, { hostPortEnd: 82 })], "c")[0]?.hostPort).toBe(82);
	expect(() => ports.allocate([ask(80, { hostPortEnd: 82 })], "c")).toThrow(EngineError);
});

test("port 0 goes round the kernel's range and passes over busy ports", () => {
	const { ports } = allocator([101]);
	expect(ports.allocate([ask(0), ask(0)], "c").map((port) => port.hostPort)).toEqual([100, 102]);
	expect(() => ports.allocate([ask(0)], "c")).toThrow("all ports are allocated");
});

test("addresses that cannot be published on are refused by name", () => {
	const { ports } = allocator();
	expect(() => ports.allocate([ask(80, { hostIp: "::1" })], "c")).toThrow("cannot publish on host address ::1");
	expect(() => ports.allocate([ask(80, { hostIp: "nonsense" })], "c")).toThrow("invalid IP address: nonsense");
});
