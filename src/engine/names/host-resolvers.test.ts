import { afterAll, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createHostResolvers, parseResolvConf } from "./host-resolvers.ts";

const directory = mkdtempSync(join(tmpdir(), "foredeck-resolv-"));
afterAll(() => rmSync(directory, { recursive: true, force: true }));

test("parseResolvConf() reads servers, the last search and all options, and skips lines of ours", () => {
	const text =
		"# foredeck-fd\nnameserver 127.0.0.153\nnameserver 10.0.0.1 # main\nnameserver bad\nnameserver fd00::1\ndomain a\nsearch b c\noptions ndots:2\noptions edns0\n";
	expect(parseResolvConf(text)).toEqual({
		nameservers: [
			{ address: "10.0.0.1", port: 53 },
			{ address: "fd00::1", port: 53 },
		],
		search: ["b", "c"],
		options: ["ndots:2", "edns0"],
	});
});

test("createHostResolvers() leaves out our own address, on our own port only", () => {
	const path = file("a", "nameserver 127.0.0.153\nnameserver 127.0.0.11\nnameserver 10.0.0.1\n");
	const addresses = (port: number) =>
		createHostResolvers({ path, own: { address: "127.0.0.153", port } })().nameservers.map(({ address }) => address);
	expect(addresses(53)).toEqual(["10.0.0.1"]);
	expect(addresses(5353)).toEqual(["127.0.0.153", "10.0.0.1"]);
});

test("createHostResolvers() looks behind systemd-resolved's stub only where asked to", () => {
	const path = file("stub", "nameserver 127.0.0.53\n");
	const behindStub = file("real", "nameserver 127.0.0.153\nnameserver 127.0.0.154\nnameserver 10.0.0.9\n");
	const own = { address: "127.0.0.153", port: 53 };
	expect(createHostResolvers({ path, own })().nameservers).toEqual([{ address: "127.0.0.53", port: 53 }]);
	expect(createHostResolvers({ path, own, behindStub })().nameservers).toEqual([{ address: "10.0.0.9", port: 53 }]);
});

test("createHostResolvers() follows changes of the file, and its removal", async () => {
	const path = file("changing", "nameserver 10.0.0.1\n");
	const resolvers = createHostResolvers({ path, own: { address: "127.0.0.153", port: 53 } });
	expect(resolvers().nameservers).toHaveLength(1);
	file("changing", "nameserver 10.0.0.1\nnameserver 10.0.0.2\n");
	await Bun.sleep(1010);
	expect(resolvers().nameservers).toHaveLength(2);
	rmSync(path);
	await Bun.sleep(1010);
	expect(resolvers().nameservers).toEqual([]);
});

function file(name: string, text: string): string {
	const path = join(directory, name);
	writeFileSync(path, text);
	return path;
}
