import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { silentLogger } from "../../shared/log.ts";
import { createNetns, removeNetns, withNetns } from "../../sys/linux/netns.ts";
import { Nftables } from "../../sys/linux/nftables.ts";
import { NftFirewall } from "./nft.ts";
import type { NetworkRules } from "./ruleset.ts";

const directory = mkdtempSync(join(tmpdir(), "foredeck-nft-"));
const path = join(directory, "netns");
const model = { instance: "test", networks: [], ports: [] };

beforeAll(() => createNetns(path, () => undefined));

afterAll(() => {
	removeNetns(path);
	rmSync(directory, { recursive: true });
});

/** Adjacent subnets, of every kind. */
function network(number: number): NetworkRules {
	return {
		bridge: `br-${number}`,
		subnet: `10.0.${number}.0/24`,
		internal: number % 3 === 0,
		icc: number % 2 === 0,
		masquerade: number % 5 !== 0,
		unprotected: number % 4 === 0,
		...(number % 7 === 0 && {
			ipv6: { subnet: `fd00:0:0:${number}::/64`, masquerade: true, unprotected: false, routed: number % 2 === 0 },
		}),
		...(number % 3 !== 1 && { host: { mac: `02:00:00:00:00:${10 + number}`, addresses: [`10.0.${number}.1`] } }),
		...(number === 11 && { outbound: { allowed: ["10.9.0.0/16"] } }),
	};
}

/** What the kernel has, with each set's elements sorted. */
function listed(): string {
	using nft = withNetns(path, () => new Nftables());
	const text = nft.run("list table inet foredeck-test") + nft.run("list table bridge foredeck-test");
	return text.replace(/elements = \{([^}]*)\}/g, (_, list: string) =>
		list
			.split(",")
			.map((element) => element.trim())
			.sort()
			.join(),
	);
}

test("whichever networks come and go, the table is the one that is written whole for them", () => {
	const firewall = withNetns(path, () => new NftFirewall(silentLogger));
	const steps = [[1], [1, 2, 3], [2, 4, 3], [1, 2, 3, 4, 5, 6], [7, 6, 14, 2], [14, 2, 11], [2], [], [5, 4, 3, 2, 1]];
	withNetns(path, () => firewall.apply(model));
	for (const numbers of steps) {
		const networks = numbers.map(network);
		firewall.setNetworks(networks);
		const changed = listed();
		firewall.apply({ ...model, networks });
		expect(changed).toBe(listed());
	}
	firewall.remove();
});

test("ends that come and go leave the table of bridges as one that is written whole for those that are left", async () => {
	const firewall = withNetns(path, () => new NftFirewall(silentLogger));
	const end = (number: number) => ({
		...{ bridge: "br-1", link: `veth${number}`, mac: `02:42:0a:00:01:${10 + number}` },
		addresses: [`10.0.1.${10 + number}`, `fd00::${10 + number}`],
	});
	const [early, staying, going] = [end(1), end(2), end(3)];
	firewall.guard([early]);
	withNetns(path, () => firewall.apply({ ...model, networks: [network(1)] }));
	firewall.guard([staying, going]);
	expect(listed()).toContain('"veth3" . 02:42:0a:00:01:13 . 10.0.1.13');
	// Its addresses are another's at once, its cable is still there.
	const heir = { ...going, link: "veth4" };
	firewall.unguard([going]);
	firewall.guard([heir]);
	expect(listed()).toContain('"veth3" .');
	await Bun.sleep(400);
	const changed = listed();
	expect(changed).not.toContain('"veth3" .');
	firewall.apply({ ...model, networks: [network(1)] });
	expect(changed).toBe(listed());
	for (const link of ["veth1", "veth2", "veth4"]) expect(changed).toContain(`"${link}" .`);
	firewall.remove();
});

test("a table that another has emptied is written whole", () => {
	const firewall = withNetns(path, () => new NftFirewall(silentLogger));
	withNetns(path, () => firewall.apply({ ...model, networks: [network(1)] }));
	const before = listed();
	using nft = withNetns(path, () => new Nftables());
	nft.run("flush ruleset");
	firewall.setNetworks([network(1), network(2)]);
	expect(listed()).toContain("br-2");
	firewall.setNetworks([network(1)]);
	expect(listed()).toBe(before);
	firewall.remove();
});
