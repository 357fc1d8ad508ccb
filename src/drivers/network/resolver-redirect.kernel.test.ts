import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { withNetns } from "../../sys/linux/netns.ts";
import { createNamespaceDriver } from "./namespace.ts";

const ADDRESS = "127.0.0.11";
const directory = mkdtempSync(join(tmpdir(), "foredeck-redirect-"));
const path = join(directory, "netns");
const namespaces = createNamespaceDriver();

beforeAll(() => namespaces.create(path));

afterAll(() => {
	namespaces.remove(path);
	rmSync(directory, { recursive: true });
});

/** A resolver of one word, in the namespace. */
async function serve(word: string) {
	const opened = withNetns(path, () => ({
		udp: Bun.udpSocket({
			hostname: ADDRESS,
			port: 0,
			socket: { data: (socket, _, port, address) => void socket.send(word, port, address) },
		}),
		tcp: Bun.listen({ hostname: ADDRESS, port: 0, socket: { data: (socket) => void socket.end(word) } }),
	}));
	const [udp, { tcp }] = [await opened.udp, opened];
	return {
		ports: { udpPort: udp.port, tcpPort: tcp.port },
		close() {
			udp.close();
			tcp.stop(true);
		},
	};
}

function codeOf(error: unknown): string {
	return error instanceof Error && "code" in error ? String(error.code) : String(error);
}

/** What 127.0.0.11:53 answers inside, or the error's code. */
async function askByUdp(): Promise<string> {
	const { promise, resolve } = Promise.withResolvers<string>();
	const asking = withNetns(path, () =>
		Bun.udpSocket({
			connect: { hostname: ADDRESS, port: 53 },
			socket: {
				data: (_, answer) => resolve(answer.toString()),
				// Bun gives the error alone, whatever its types say.
				error: (...given: unknown[]) => resolve(codeOf(given.at(-1))),
			},
		}),
	);
	const socket = await asking;
	socket.send("?");
	const answer = await promise;
	socket.close();
	return answer;
}

async function askByTcp(): Promise<string> {
	const { promise, resolve } = Promise.withResolvers<string>();
	withNetns(path, () =>
		Bun.connect({
			hostname: ADDRESS,
			port: 53,
			socket: {
				open: (socket) => void socket.write("?"),
				data: (_, answer) => resolve(answer.toString()),
				connectError: (_, error) => resolve(codeOf(error)),
			},
		}),
	).catch(() => {});
	return await promise;
}

test("port 53 of 127.0.0.11 is served on other ports, which may change", async () => {
	const first = await serve("first");
	namespaces.redirectResolver(path, first.ports, false);
	expect([await askByUdp(), await askByTcp()]).toEqual(["first", "first"]);
	first.close();
	const second = await serve("second");
	namespaces.redirectResolver(path, second.ports, true);
	expect([await askByUdp(), await askByTcp()]).toEqual(["second", "second"]);
	second.close();
});

test("where nobody listens a question is refused at once", async () => {
	const gone = await serve("gone");
	namespaces.redirectResolver(path, gone.ports, true);
	gone.close();
	expect([await askByUdp(), await askByTcp()]).toEqual(["ECONNREFUSED", "ECONNREFUSED"]);
});

test("no connection is tracked for it", async () => {
	const resolver = await serve("word");
	namespaces.redirectResolver(path, resolver.ports, true);
	await askByTcp();
	const tracked = withNetns(path, () => readFileSync("/proc/thread-self/net/stat/nf_conntrack", "utf8"));
	const [, ...cpus] = tracked.trim().split("\n");
	expect(cpus.map((line) => line.slice(0, 8))).toEqual(cpus.map(() => "00000000"));
	resolver.close();
});
