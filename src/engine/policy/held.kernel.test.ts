import { afterAll, afterEach, beforeAll, expect, test } from "bun:test";
import { PolicyHost } from "../../testing/policy-host.ts";
import { parsePolicies } from "./parse.ts";

/** Where policies cannot be enforced nobody may believe that they are. */
let host: PolicyHost;
const about = (name: string) => ({ name: "p", select: { names: [name] }, default: { egress: "deny" } });
const dryRun = (document: object) => host.policies.apply(parsePolicies(document), { dryRun: true })[0]?.unenforced;

beforeAll(async () => {
	host = new PolicyHost();
	await host.start();
	await host.createNetwork("blue");
	await host.createNetwork("lan", {
		driver: "macvlan",
		options: { parent: "wire" },
		ipam: { driver: "default", options: null, config: [{ Subnet: "10.88.0.0/24" }] },
	});
});

afterAll(() => host.close());

afterEach(() => host.clear());

test("macvlan: a container does not start, is not connected, and a policy is not applied; both say why", async () => {
	host.apply(about("web"));
	await expect(host.on("web", "lan")).rejects.toThrow(
		"policy p is about container web, and cannot be enforced on network lan (driver macvlan)",
	);
	const web = await host.on("web", "blue");
	expect(web.address).not.toBe("");
	await expect(host.sandboxes.attach("web", { network: "lan" })).rejects.toThrow("policy p is about container web");
	await host.on("free", "lan");
	const why = "on network lan (driver macvlan)";
	expect(dryRun(about("f*"))).toEqual([{ container: "free", why }]);
	expect(dryRun({ name: "p", select: { networks: ["lan"] } })).toEqual([{ container: "free", why }]);
	expect(() => host.apply(about("free"))).toThrow("cannot apply: policy p is about container free");
	expect(host.policies.inspect("p").policy.select).toEqual({ names: ["web"] });
	// By its label as well.
	await expect(host.on("labelled", "lan", { "foredeck.policy": "p" })).rejects.toThrow(
		"policy p is about container labelled",
	);
	host.joined.delete("labelled");
});

test("the host's network: neither starts a container there that a policy is about, nor comes a policy to one that is", async () => {
	host.apply(about("mon"));
	host.facts.set("mon", { name: "mon", labels: {} });
	const request = { containerId: "mon", containerName: "mon", mode: "host", ports: [], sysctls: {} } as const;
	await expect(host.sandboxes.join(request)).rejects.toThrow(
		"cannot put container mon there: policy p is about container mon, and cannot be enforced on the host's network",
	);
	host.policies.remove("p");
	await host.sandboxes.join(request);
	host.guests = [{ id: "mon", name: "mon", labels: {} }];
	for (const select of [{ names: ["mon"] }, { networks: ["host"] }, { all: true }]) {
		expect(() => host.apply({ name: "p", select })).toThrow("policy p is about container mon");
	}
	await host.leave("mon");
});

test("a shared network: a policy must be about its owner too", async () => {
	host.apply({ name: "p", select: { labels: { app: "shop" } }, default: { egress: "deny" } });
	await host.on("plain", "blue");
	await host.on("held", "blue", { app: "shop" });
	host.facts.set("side", { name: "side", labels: { app: "shop" } });
	host.sandboxes.checkShared("side", "held");
	expect(() => host.sandboxes.checkShared("side", "plain")).toThrow(
		"in the network of plain, which the policy is not about",
	);
	host.guests = [{ id: "side", name: "side", labels: { app: "shop" }, owner: "plain" }];
	expect(host.policies.inspect("p")).toMatchObject({ sandboxes: ["held"], unenforced: [{ container: "side" }] });
});

test("a rename that brings a container under a policy which cannot hold is told of", async () => {
	host.apply(about("web"));
	await host.on("free", "lan");
	host.facts.set("free", { name: "web", labels: {} });
	host.policies.changed();
	expect(host.policies.list()[0]?.unenforced).toEqual([{ container: "web", why: "on network lan (driver macvlan)" }]);
	const warnings = () => host.warned.filter((message) => message === "policy not enforced").length;
	await Bun.sleep(150);
	expect(warnings()).toBe(1);
	// Once, and again by the next daemon.
	host.policies.changed();
	await Bun.sleep(150);
	expect(warnings()).toBe(1);
	await host.stop();
	await host.start();
	await Bun.sleep(150);
	expect(warnings()).toBe(2);
});
