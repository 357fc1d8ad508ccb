import { afterAll, afterEach, beforeAll, expect, test } from "bun:test";
import { findLink, type Link } from "../../sys/linux/link.ts";
import { RouteSocket } from "../../sys/linux/netlink.ts";
import { withNetns } from "../../sys/linux/netns.ts";
import { TestNetworks } from "../../testing/network-host.ts";

let lab: TestNetworks;

beforeAll(async () => {
	lab = new TestNetworks({ instance: "t" });
	await lab.start();
});

afterAll(() => lab.end());

afterEach(() => lab.clear());

const linkOf = (name: string): Link | undefined => {
	using socket = new RouteSocket();
	return findLink(socket, name);
};
const hasBigTcp = linkOf("lo")?.segmentation4 !== undefined;

/** Sizes of the bridge, of the host's end and of the sandbox's own interface. */
async function sizesOn(network: string): Promise<(number | undefined)[]> {
	const { path, settings } = await lab.on("one", network);
	const links = [lab.networks.inspect(network).bridge, settings.endpoints[0]?.hostLink].map((name) =>
		linkOf(name ?? ""),
	);
	const own = withNetns(path, () => linkOf("eth0"));
	await lab.sandboxes.leave("one");
	lab.joined.delete("one");
	return [...links, own].map((link) => link?.segmentation4);
}

test.skipIf(!hasBigTcp)(
	"packets of more than 64 KB are for networks that lead nowhere, and for those that ask",
	async () => {
		await lab.create("internal", { internal: true });
		await lab.create("without", { internal: true, options: { "foredeck.big_tcp": "false" } });
		await lab.create("plain");
		await lab.create("asked", { options: { "foredeck.big_tcp": "true" } });
		expect(await sizesOn("internal")).toEqual([196_608, 196_608, 196_608]);
		expect(await sizesOn("without")).toEqual([65_536, 65_536, 65_536]);
		expect(await sizesOn("plain")).toEqual([65_536, 65_536, 65_536]);
		expect(await sizesOn("asked")).toEqual([196_608, 196_608, 196_608]);
		await lab.start();
		expect(await sizesOn("asked")).toEqual([196_608, 196_608, 196_608]);
	},
);

test("what is large arrives whole, over the bridge and from the host", async () => {
	await lab.create("internal", { internal: true, enableIpv6: true });
	const [one, other] = [await lab.on("one", "internal"), await lab.on("other", "internal")];
	const size = 4_000_000;
	using _ = serveBytes(one.path, 80, size);
	for (const hostname of [one.address, one.address6]) expect(await received(other.path, hostname, 80)).toBe(size);
	expect(await received(undefined, one.address, 80)).toBe(size);
});

/** Sends so many bytes to whoever connects. */
function serveBytes(path: string, port: number, size: number): Disposable {
	const left = new WeakMap<Bun.Socket, number>();
	const piece = new Uint8Array(1 << 20);
	const send = (socket: Bun.Socket) => {
		let rest = left.get(socket) ?? size;
		for (let sent = 1; rest > 0 && sent > 0; rest -= sent) sent = socket.write(piece.subarray(0, rest));
		left.set(socket, rest);
		if (rest === 0) socket.end();
	};
	const socket = { open: send, drain: send, data: () => {} };
	const server = withNetns(path, () => Bun.listen({ hostname: "::", port, socket }));
	return { [Symbol.dispose]: () => server.stop(true) };
}

/** How many bytes come until the other side closes. */
function received(path: string | undefined, hostname: string, port: number): Promise<number> {
	const { promise, resolve, reject } = Promise.withResolvers<number>();
	let count = 0;
	const socket = {
		data: (_: Bun.Socket, bytes: Buffer) => {
			count += bytes.length;
		},
		close: () => resolve(count),
		connectError: (_: unknown, error: Error) => reject(error),
	};
	const connect = () => void Bun.connect({ hostname, port, socket }).catch(reject);
	if (path) withNetns(path, connect);
	else connect();
	return promise;
}
