import { expect, test } from "bun:test";
import { closeSync, openSync } from "node:fs";
import { decode, encode } from "dns-packet";
import { silentLogger } from "../shared/log.ts";
import { check, libc } from "../sys/linux/libc.ts";
import { createForwarder } from "./forward.ts";
import { createSandboxResolver, SANDBOX_DNS_ADDRESS } from "./sandbox-resolver.ts";

const CLONE_NEWNET = 0x40000000;

/** nsenter --net=PATH, for synchronous code on this thread only. */
function withNetns<T>(path: string, fn: () => T): T {
	const home = openSync("/proc/thread-self/ns/net", "r");
	const target = openSync(path, "r");
	try {
		check(libc.setns(target, CLONE_NEWNET), `setns ${path}`);
		try {
			return fn();
		} finally {
			check(libc.setns(home, CLONE_NEWNET), "setns back");
		}
	} finally {
		closeSync(target);
		closeSync(home);
	}
}

/** A process in a network namespace of its own with loopback up; killed on dispose, and the namespace with it. */
async function startSandbox(): Promise<{ path: string } & Disposable> {
	const holder = Bun.spawn(["unshare", "--net", "sh", "-c", "ip link set lo up && echo up && exec sleep 60"], {
		stdout: "pipe",
	});
	const reader = holder.stdout.getReader();
	await reader.read();
	return { path: `/proc/${holder.pid}/ns/net`, [Symbol.dispose]: () => holder.kill(9) };
}

async function askInside(path: string, port: number, name: string): Promise<unknown> {
	const { promise, resolve } = Promise.withResolvers<Buffer | undefined>();
	const opening = withNetns(path, () =>
		Bun.udpSocket({
			socket: { data: (_s, data: Buffer) => resolve(Buffer.from(data)), error: () => resolve(undefined) },
		}),
	);
	const socket = await opening;
	socket.send(encode({ type: "query", id: 7, questions: [{ name, type: "A" }] }), port, SANDBOX_DNS_ADDRESS);
	const timer = setTimeout(resolve, 500, undefined);
	const reply = await promise;
	clearTimeout(timer);
	socket.close();
	if (!reply) return undefined;
	const [answer] = decode(reply).answers ?? [];
	return answer?.type === "A" ? answer.data : (reply[3] ?? 0) & 15;
}

test("sockets of a sandbox's resolver stay in its namespace, and answer by its container", async () => {
	using one = await startSandbox();
	using two = await startSandbox();
	const upstream = await Bun.udpSocket({
		hostname: "127.0.0.78",
		socket: {
			data(socket, data: Buffer, port, address) {
				const query = decode(data);
				const answers = [{ type: "A" as const, name: query.questions?.[0]?.name ?? "", data: "192.0.2.1" }];
				socket.send(
					encode({ type: "response", id: query.id ?? 0, questions: query.questions ?? [], answers }),
					port,
					address,
				);
			},
		},
	});
	const resolver = createSandboxResolver({
		withNetns,
		directory: {
			fromSandbox: (id, name) => (name === "web" ? [id === "one" ? "10.0.0.1" : "10.0.0.2"] : undefined),
			fromHost: () => undefined,
			nameOf: () => undefined,
			mayAskOutside: () => true,
			mayAskHost: () => true,
		},
		forward: createForwarder({ upstreams: () => [{ address: "127.0.0.78", port: upstream.port }] }),
		domain: "fd.local",
		log: silentLogger,
	});
	const first = resolver.listen(one.path, () => "one");
	const second = resolver.listen(two.path, () => "two");
	try {
		expect(await askInside(one.path, first.udpPort, "WEB")).toBe("10.0.0.1");
		expect(await askInside(two.path, second.udpPort, "web.fd.local")).toBe("10.0.0.2");
		expect(await askInside(one.path, first.udpPort, "ghost.fd.local")).toBe(3);
		expect(await askInside(one.path, first.udpPort, "example.org")).toBe("192.0.2.1");
		expect(await askInside("/proc/self/ns/net", first.udpPort, "web")).toBeUndefined();
		const tcp = withNetns(one.path, () =>
			Bun.connect({ hostname: SANDBOX_DNS_ADDRESS, port: first.tcpPort, socket: { data() {} } }),
		);
		(await tcp).terminate();
		expect(
			Bun.connect({ hostname: SANDBOX_DNS_ADDRESS, port: first.tcpPort, socket: { data() {} } }),
		).rejects.toThrow();
		first.close();
		expect(await askInside(one.path, first.udpPort, "web")).toBeUndefined();
	} finally {
		first.close();
		second.close();
		upstream.close();
	}
});
